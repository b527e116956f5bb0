"""The set-up of each editor in a few lines, as `carpo-lsp doctor --editor` prints it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple


class Setup(NamedTuple):
    """What to write where. `text` names the program as "carpo-lsp"."""

    file: str
    text: str
    run: str
    """How the cell at the cursor is run then."""


SETUPS: Final = {
    "ale": Setup(
        "~/.vimrc, where ALE is loaded",
        """\
for filetype in ['python', 'r', 'markdown', 'quarto', 'rmd']
  call ale#linter#Define(filetype, #{name: 'carpo', lsp: 'stdio', executable: 'carpo-lsp',
      \\ command: '%e', project_root: {buffer -> expand('#' .. buffer .. ':p:h')}})
endfor
let g:ale_linters = {'python': ['carpo']}
""",
        ":ALECodeAction, then Run cell",
    ),
    "coc": Setup(
        ":CocConfig",
        """\
"languageserver": {
  "carpo": { "command": "carpo-lsp", "filetypes": ["python", "r", "markdown", "quarto", "rmd"] }
}
""",
        ":call CocActionAsync('codeAction', 'cursor', ['carpo.run.cell'])",
    ),
    "eglot": Setup(
        "~/.emacs.d/init.el",
        """\
(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs
               '((python-mode python-ts-mode ess-r-mode markdown-mode) . ("carpo-lsp"))))
""",
        "M-x eglot-code-actions, then Run cell",
    ),
    "helix": Setup(
        "~/.config/helix/languages.toml",
        """\
[language-server.carpo]
command = "carpo-lsp"
[[language]]
name = "python"
language-servers = ["carpo", "basedpyright", "ruff"]
""",
        "Space a, then Run cell",
    ),
    "kakoune": Setup(
        "~/.config/kak/kakrc",
        """\
hook -group carpo global BufSetOption filetype=(?:python|r|markdown) %{
    set-option -add buffer lsp_servers %{
        [carpo]
        command = "carpo-lsp"
        root_globs = ["pyproject.toml", ".git"]
    }
}
""",
        ":lsp-code-actions -auto-single carpo.run.cell",
    ),
    "lsp-mode": Setup(
        "~/.emacs.d/init.el",
        """\
(with-eval-after-load 'lsp-mode
  (lsp-register-client
   (make-lsp-client :new-connection (lsp-stdio-connection '("carpo-lsp")) :server-id 'carpo
                    :activation-fn (lsp-activate-on "python" "r" "markdown") :add-on? t)))
""",
        "M-x lsp-execute-code-action, then Run cell",
    ),
    "neovim": Setup(
        "~/.config/nvim/init.lua",
        """\
vim.lsp.config('carpo', { cmd = { 'carpo-lsp' }, root_markers = { 'pyproject.toml', '.git' },
  filetypes = { 'python', 'r', 'markdown', 'quarto', 'rmd' } })
vim.lsp.enable('carpo')
""",
        "gra, then Run cell",
    ),
    "sublime": Setup(
        "LSP.sublime-settings",
        """\
"clients": { "carpo": { "enabled": true, "command": ["carpo-lsp"],
  "selector": "source.python | source.r | text.html.markdown" } }
""",
        "LSP: Code Action, then Run cell",
    ),
    "vim-lsp": Setup(
        "~/.vimrc",
        """\
autocmd User lsp_setup call lsp#register_server({'name': 'carpo', 'cmd': ['carpo-lsp'],
    \\ 'allowlist': ['python', 'r', 'markdown', 'quarto', 'rmd']})
""",
        ":LspCodeAction carpo.run.cell",
    ),
    "vscode": Setup(
        "a terminal, in a checkout of carpo-lsp",
        """\
cd editors/vscode
npm ci
npm run package
code --install-extension carpo-lsp.vsix
""",
        "its lens, or Ctrl+Enter",
    ),
    "yegappan": Setup(
        "~/.vimrc",
        """\
call LspAddServer([#{name: 'carpo', filetype: ['python', 'r', 'markdown', 'quarto', 'rmd'],
    \\ path: 'carpo-lsp', args: []}])
""",
        ":LspCodeAction only:carpo.run.cell#1",
    ),
    "zed": Setup(
        "settings.json; there is no extension yet, so it takes the name of a server Zed knows",
        """\
"lsp": { "pylsp": { "binary": { "path": "carpo-lsp" } } },
"languages": { "Python": { "language_servers": ["basedpyright", "pylsp"] } }
""",
        "editor: toggle code actions, then Run cell",
    ),
}
"""By the names that `--editor` takes."""

ALIASES: Final = {"emacs": "eglot", "nvim": "neovim", "vim": "vim-lsp"}


def setup_text(name: str) -> str:
    """What to do for an editor, for a person. The program has its path where an editor that is
    started from here would not find it."""
    setup = SETUPS[ALIASES.get(name, name)]
    text = setup.text
    beside = Path(sys.executable).with_name("carpo-lsp")
    if shutil.which("carpo-lsp") is None and beside.exists():
        text = re.sub(r"""(["'])carpo-lsp\1""", lambda match: f"{match[1]}{beside}{match[1]}", text)
    return f"{setup.file}:\n\n{text}\nRun the cell at the cursor: {setup.run}\n"
