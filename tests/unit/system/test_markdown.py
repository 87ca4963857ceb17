"""Names in Markdown are read back as they were, by a parser of CommonMark with tables."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vgg_lit.system.markdown import markdown_block, markdown_code, markdown_text
from vgg_lit.system.terminal import visible

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NAMES = st.text("a0 _*`~[](){}<>|$&#\\!-.:;\n\té", max_size=10)


def inline(text: str) -> list[tuple[str, str]]:
    """The kinds and contents of a line of Markdown; neighbouring texts are joined."""
    found: list[tuple[str, str]] = []
    for token in PARSER.parseInline(text)[0].children:
        kind = "text" if token.type == "text_special" else token.type
        if found and kind == found[-1][0] == "text":
            found[-1] = kind, found[-1][1] + token.content
        else:
            found.append((kind, token.content))
    return found


@settings(deadline=None)
@given(NAMES)
@example("&lt;b&gt; <i> ~~x~~ [a](b) **c** _d_ `e`")
@example("C:\\$HOME\\_x_")
def test_text_has_no_markup(name):
    assert inline(f"x{markdown_text(name)}x") == [("text", f"x{visible(name)}x")]


@settings(deadline=None)
@given(NAMES)
def test_a_cell_of_a_table_is_one_cell(name):
    table = f"| a | b |\n|---|---|\n| x{markdown_text(name)}x | y |\n"
    cells = [token.content for token in PARSER.parse(table) if token.type == "inline"]
    assert len(cells) == 4


@settings(deadline=None)
@given(NAMES.filter(bool))
@example(" a ")
@example("`")
@example("best`.ckpt")
@example("``")
@example("  ")
def test_code_is_shown_as_it_is(name):
    assert inline(markdown_code(name)) == [("code_inline", visible(name))]


@settings(deadline=None)
@given(st.lists(NAMES.map(visible)).map(lambda lines: "".join(f"{line}\n" for line in lines)))
def test_a_block_ends_after_its_last_line(text):
    tokens = PARSER.parse(markdown_block(text, "yaml") + "after\n")
    assert [token.type for token in tokens][:2] == ["fence", "paragraph_open"]
    assert tokens[0].content == text
    assert tokens[0].info == "yaml"
