"""Results and errors of real kernels, as a client sees them that has nothing but standard LSP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lsp_clients import Wire

PUBLISH = "textDocument/publishDiagnostics"

PYTHON = """\
# %% Define

def f(x):
    return 1 / x
# %% Call
y = 0

f(y)
# %% Wrong
for i in "é"
    pass
# %% Right
40 + 2
"""

QUARTO = """\
```{python}
x = [1]
x[5]
```

```{r}
g <- function(a) {
  stop("deep")
}
```

```{r}
b <- 1
g(b)
```

```{r}
c(1,
2))
```
"""


async def new_client(spawn: Callable[..., Awaitable[Wire]], folder: Path) -> Wire:
    """A client that has not opted in, whose server keeps its results in a folder."""
    client = await spawn(env={"XDG_STATE_HOME": str(folder)})
    await client.initialize(options={}, capabilities={})
    return client


async def until_diagnostic(client: Wire, start: str) -> dict[str, Any]:
    """The first diagnostic whose message begins so."""

    def matching(params: Any) -> list[dict[str, Any]]:
        return [each for each in params["diagnostics"] if each["message"].startswith(start)]

    params = await client.until(lambda method, params: method == PUBLISH and matching(params))
    return matching(params)[0]


def place(diagnostic: dict[str, Any]) -> tuple[int, int]:
    start = diagnostic["range"]["start"]
    return start["line"], start["character"]


async def test_python(spawn: Callable[..., Awaitable[Wire]], tmp_path: Path) -> None:
    client = await new_client(spawn, tmp_path)
    uri = client.open("file:///w/a.py", PYTHON)
    for line in (0, 4):
        await client.command("runCell", {"uri": uri, "line": line})
    error = await until_diagnostic(client, "ZeroDivisionError: division by zero\n")
    assert place(error) == (7, 0)
    assert error["message"].endswith("\nin f, cell 1 (Define) of a.py, line 4")
    await client.command("runCell", {"uri": uri, "line": 8})
    error = await until_diagnostic(client, "SyntaxError: ")
    assert place(error) == (9, 11)
    await client.command("runCell", {"uri": uri, "line": 11})
    result = await until_diagnostic(client, "→ 42")
    assert place(result) == (12, 5)
    await client.command("showOutput", {"uri": uri})
    message = await client.until_message("The results are in ")
    text = read(message["message"].removeprefix("The results are in "))
    assert text.startswith("# Results of a.py\n\n## Cell 1 (Define), lines 2 to 4: ✓ In[1] ")
    assert "```text\n42\n```" in text
    assert "\x1b" not in text


@pytest.mark.needs_r
async def test_chunks_of_python_and_r(
    spawn: Callable[..., Awaitable[Wire]], tmp_path: Path
) -> None:
    client = await new_client(spawn, tmp_path)
    uri = client.open("file:///w/a.qmd", QUARTO, "quarto")
    await client.command("runCell", {"uri": uri, "line": 0})
    for line in (5, 11):
        await client.command("runCell", {"uri": uri, "line": line})
    assert place(await until_diagnostic(client, "IndexError: ")) == (2, 0)
    error = await until_diagnostic(client, "Error in g(b): deep")
    assert place(error) == (13, 0)
    assert 'in stop("deep"), cell 2 of a.qmd, line 8' in error["message"]
    await client.command("runCell", {"uri": uri, "line": 16})
    assert place(await until_diagnostic(client, "Error in parse")) == (18, 2)


def read(path: str) -> str:
    return Path(path).read_text()
