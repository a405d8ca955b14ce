"""A page as a reader of HTML sees it."""

from html.parser import HTMLParser

HOSTILE = "<script>alert(1)</script>\"'&\u202e"
"""What no page may repeat as it is."""

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """What stands on a page: its texts, its tags, and whether these are nested as they must be."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags, self.attributes, self.open = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())
