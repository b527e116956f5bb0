"""One right message of each kind that clients send, for tests that send wrong ones."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

Messages = dict[str, dict[str, Any]]

TEXT = """\
# %% one
stream stdout hello
# %% two
result 41
input Who?
al
"""
"""A document for the fake kernel."""


def requests(uri: str, kernel_id: str) -> Messages:
    """Params by method, for a document with `TEXT` and a kernel."""
    document = {"uri": uri}
    start, end = {"line": 1, "character": 0}, {"line": 1, "character": 6}
    place = {"textDocument": document, "position": {"line": 5, "character": 2}}
    range_ = {"start": start, "end": end}
    code = {"kernelId": kernel_id, "code": "alpha"}
    return {
        types.TEXT_DOCUMENT_COMPLETION: {**place, "context": {"triggerKind": 1}},
        types.COMPLETION_ITEM_RESOLVE: {"label": "alpha", "data": {"list": 0}},
        types.TEXT_DOCUMENT_HOVER: place,
        types.TEXT_DOCUMENT_SIGNATURE_HELP: place,
        types.TEXT_DOCUMENT_DEFINITION: place,
        types.WORKSPACE_SYMBOL: {"query": "a"},
        types.TEXT_DOCUMENT_INLAY_HINT: {"textDocument": document, "range": range_},
        types.TEXT_DOCUMENT_CODE_LENS: {"textDocument": document},
        types.TEXT_DOCUMENT_CODE_ACTION: {
            "textDocument": document,
            "range": range_,
            "context": {"diagnostics": [], "only": ["carpo.run"]},
        },
        types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: {"textDocument": document},
        types.WORKSPACE_EXECUTE_COMMAND: {
            "command": "carpo.runCell",
            "arguments": [{"uri": uri, "position": start}],
        },
        "carpo/listKernelSpecs": {},
        "carpo/startKernel": {"specName": "fake", "limits": {"memoryMb": 4096}, "timeout": 20},
        "carpo/attachKernel": {"connectionFile": "/no/such/file"},
        "carpo/listKernels": {},
        "carpo/kernelInfo": {"kernelId": kernel_id},
        "carpo/selectKernel": {"textDocument": document, "kernelId": kernel_id},
        "carpo/execute": {"textDocument": document, "range": range_, "userExpressions": {"a": "1"}},
        "carpo/stdin": {"kernelId": kernel_id, "value": "Ada"},
        "carpo/complete": {**code, "cursorPos": 2},
        "carpo/inspect": {**code, "cursorPos": 2, "detailLevel": 1},
        "carpo/isComplete": code,
        "carpo/history": {"kernelId": kernel_id, "n": 3, "pattern": "a*"},
        "carpo/interrupt": {"kernelId": kernel_id},
        "carpo/restartKernel": {"kernelId": kernel_id},
        "carpo/shutdownKernel": {"kernelId": kernel_id},
        "carpo/keepKernel": {"kernelId": kernel_id, "keep": False},
        "carpo/outputs": {"textDocument": document},
        "carpo/send": {
            "kernelId": kernel_id,
            "channel": "shell",
            "msgType": "kernel_info_request",
            "content": {},
            "buffers": ["AAEC"],
        },
    }


def notifications(uri: str) -> Messages:
    """Params by method; sent in this order they open a document and a notebook and close both."""
    cell = f"vscode-notebook-cell:{uri.removeprefix('file:')}.ipynb#1"
    notebook = {"uri": f"{uri}.ipynb", "version": 2}
    text = {"uri": uri, "languageId": "fake", "version": 1, "text": TEXT}
    start, end = {"line": 5, "character": 0}, {"line": 5, "character": 2}
    edits = [{"range": {"start": start, "end": end}, "text": "be"}, {"text": TEXT}]
    cells = [{"kind": 2, "document": cell}]
    texts = [{"uri": cell, "languageId": "fake", "version": 1, "text": "stream stdout cell"}]
    return {
        types.WORKSPACE_DID_CHANGE_CONFIGURATION: {
            "settings": {"carpo": {"results": {"show": "hint"}, "completion": {"budget": 100}}}
        },
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: {
            "event": {"added": [{"uri": f"{uri}.d", "name": "d"}], "removed": []}
        },
        types.TEXT_DOCUMENT_DID_OPEN: {"textDocument": text},
        types.TEXT_DOCUMENT_DID_CHANGE: {
            "textDocument": {"uri": uri, "version": 2},
            "contentChanges": edits,
        },
        types.NOTEBOOK_DOCUMENT_DID_OPEN: {
            "notebookDocument": {**notebook, "notebookType": "jupyter-notebook", "cells": cells},
            "cellTextDocuments": texts,
        },
        types.NOTEBOOK_DOCUMENT_DID_CHANGE: {
            "notebookDocument": notebook,
            "change": {
                "cells": {
                    "structure": {"array": {"start": 0, "deleteCount": 1, "cells": cells}},
                    "textContent": [
                        {"document": {"uri": cell, "version": 3}, "changes": [{"text": "x"}]}
                    ],
                }
            },
        },
        types.WINDOW_WORK_DONE_PROGRESS_CANCEL: {"token": "1"},
        types.SET_TRACE: {"value": "verbose"},
        types.CANCEL_REQUEST: {"id": 1},
        types.NOTEBOOK_DOCUMENT_DID_CLOSE: {
            "notebookDocument": {"uri": notebook["uri"]},
            "cellTextDocuments": [{"uri": cell}],
        },
        types.TEXT_DOCUMENT_DID_CLOSE: {"textDocument": {"uri": uri}},
    }
