"""The sandbox over HTTP, for any client in any language, with a page to look at. It needs the extra `[sandbox]`."""
