"""A Quarto document with chunks of Python and of R, both live at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from editor_clients import NEOVIM, Editor

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
---
title: Both
---

```{python}
import os, time
python_value = 41
while not os.path.exists("GATE"):
    time.sleep(0.01)
"seen by Python"
```

Prose.

```{r}
#| label: from-r
r_value <- c(1, 2, 3)
invisible(file.create("GATE"))
sum(r_value)
```

```{python}
#| eval: false
raise SystemExit
```
"""


@pytest.mark.needs_r
async def test_python_and_r_run_at_once(tmp_path: Path) -> None:
    """Python waits for what only R makes, which stands below it."""
    path = tmp_path / "both.qmd"
    text = TEXT.replace("GATE", str(tmp_path / "gate"))
    editor = await Editor.spawn()
    assert isinstance(editor, Editor)
    try:
        await editor.begin(NEOVIM, tmp_path)
        uri = editor.open(path.as_uri(), text, "quarto")
        lines = text.splitlines()
        in_r, in_python = lines.index("sum(r_value)"), lines.index('"seen by Python"')
        await editor.command("runAll", uri)
        assert await editor.until_result(uri, "→ 'seen by Python'") == in_python
        assert await editor.until_result(uri, "→ [1] 6") == in_r
        assert len(await editor.results(uri)) == 2

        # And each completes from its own kernel.
        labels = await editor.completions(uri, lines.index("python_value = 41"), len("python_v"))
        assert "python_value" in labels
        labels = await editor.completions(uri, in_r, len("sum(r_v"))
        assert "r_value" in labels
        await editor.request("shutdown")
        editor.notify("exit")
    finally:
        await editor.close()
    assert editor.undeclared == []
