"""The limit of a start: a pygls server that can do nothing."""

from pygls.lsp.server import LanguageServer

server = LanguageServer("bare", "1")

if __name__ == "__main__":
    server.start_io()
