"""Checks the prose of the repository for riddles and idiom; CONTRIBUTING.md explains the style.

    python scripts/check_prose.py [PATH ...]

Reads docstrings, comments and messages of Python files, comments of YAML and TOML files, Markdown
outside code, and notebook cells. Without paths it reads every tracked file. Prints a line per finding
and exits with 1 if there are any.
"""

import ast
import contextlib
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

# The opening word of a docstring -> the replacement.
OPENINGS = {
    "Whether": 'write "Returns True if ..." or "Checks that ..."',
    "What": 'write a noun phrase or "Returns ..."',
    "How": 'write a noun phrase ("The number of ...") or a verb ("Formats ...")',
    "Which": 'write a noun phrase or "Selects ..."',
    "Where": 'write "The directory of ..." or "Returns the path ..."',
    "Of": "open with the noun itself",
    **dict.fromkeys(["Who", "Whose", "Whoever"], "name the class, rank or process"),
    **dict.fromkeys(["When", "Whenever"], "open with the verb; put the condition after it"),
}

# Idiom -> the replacement. A space matches any white space, so that idiom is found across lines.
IDIOMS = {
    r"\b(comes?|came|coming) to\b": 'write "is", "totals" or "reaches"',
    r"\b(goes|go|went|gone|going) on\b": 'write "continues" or "resumes"',
    r"\b(is|are|was|were|be|been|being) told\b": 'write "receives" or "is passed"',
    r"\b(to|may|can|could) be had\b": 'write "available"',
    r"\bof (its|their|his|one's|your) own\b": 'write "custom", "separate" or "private", or drop it',
    r"\bnobody('s)?\b": 'write "no caller", "no process" or the passive',
    r"\bwho(so)?ever\b": "name the user, class or process",
    r"\bsaid\b": 'write "stated", "reported" or "set"',
    r"\bknown by\b": 'write "identified by" or "named"',
    r"\bknows? (of|nothing)\b": 'write "imports", "reads" or "depends on"',
    r"\b(makes?|made|making) way for\b": 'write "is replaced by" or "renames ... for"',
    r"\b(looks?|looked|looking) after\b": 'write "manages" or "monitors"',
    r"\bas it were\b": "drop it",
    r"\b(takes?|took) nobody's word\b": 'write "trusted only if ..."',
    r"\bby (its|their) very\b": "drop it or give the reason",
    r"\bno longer than it\b": "give the limit",
    r"\bso many\b": 'write "N", "the given number of" or "too many"',
    r"\bbut for\b": 'write "except"',
    r"\bsave (that|for)\b": 'write "except"',
    r"\bsuch an?\b": 'name the thing ("a layer of this type")',
    r"\botherwise than\b": 'write "unlike" or "differently from"',
    r"\b(lies|lay)\b": 'write "is stored" or "is"',
    r"\b(stands?|stood) (in|on|at|still|between|beside|before|after|there)\b": 'write "is" or "waits"',
    r"\bwhat \w+( \w+)? makes? of\b": "name the result",
}
MAIN_CLAUSE = "no statement opens with it; put the main clause first"
ARGUMENT = re.compile(r"^[ ]+\w+: of\b", re.MULTILINE)
SENTENCE = re.compile(
    r"(?:^|(?<=[.!?:|])\s)[\s>|*_(-]*(What|Whether|How|Of which) (?:[^.?!|]|[.?!](?=\S))*\.(?=\s|$|\|)"
)
PATTERNS = [
    (re.compile(idiom.replace(" ", r"\s+"), re.IGNORECASE), advice)
    for idiom, advice in IDIOMS.items()
]

SKIPPED = r"(^|/)(scripts/(test_)?check_prose\.py$|tests/golden/)"
SUFFIXES = (".py", ".md", ".ipynb", ".yaml", ".yml", ".toml", ".cff")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Finding = tuple[int, str]  # the line and the message
Block = tuple[int, str]  # the first line and the text


def blank(pattern: str, text: str) -> str:
    """Replaces what matches by white space, so that line numbers stay the same."""
    return re.sub(pattern, lambda match: re.sub(r"\S", " ", match[0]), text, flags=re.DOTALL)


def check_block(block: Block, place: str, sentences: bool = False) -> Iterator[Finding]:
    """Yields the idiom in a text outside back quotes.; with `sentences`, "What it does is x." too."""
    text = blank(r"(`+)[^`]+?\1", block[1])
    for pattern, advice in PATTERNS + [(SENTENCE, MAIN_CLAUSE)] * sentences:
        for match in pattern.finditer(text):
            idiom = " ".join(match[pattern is SENTENCE].split())
            line = block[0] + text.count("\n", 0, match.start(pattern is SENTENCE))
            yield line, f'{place} has "{idiom}": {advice}'


def check_docstring(first: int, text: str) -> Iterator[Finding]:
    """Yields the findings of one docstring."""
    word = re.match(r"\s*(\w+)", text)
    if word and word[1] in OPENINGS:
        line = first + text.count("\n", 0, word.start(1))
        yield line, f'docstring opens with "{word[1]}": {OPENINGS[word[1]]}'
        text = text.replace(word[1], " " * len(word[1]), 1)
    for match in ARGUMENT.finditer(text):
        line = first + text.count("\n", 0, match.start())
        yield line, f'docstring has "{match[0].strip()}": describe the argument by a noun phrase'
    yield from check_block((first, text), "docstring", sentences=True)


def comment_blocks(source: str) -> list[Block]:
    """Returns the comments of Python code; comments on consecutive lines are one text."""
    blocks, last = [], 0
    with contextlib.suppress(tokenize.TokenError, SyntaxError):  # a notebook's %magic
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            line, text = token.start[0], token.string.lstrip("#")
            if token.type == tokenize.COMMENT and blocks and line == last + 1:
                blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]}\n{text}")
            elif token.type == tokenize.COMMENT:
                blocks.append((line, text))
            last = line if token.type == tokenize.COMMENT else last
    return blocks


def check_python(source: str) -> Iterator[Finding]:
    """Yields the findings in docstrings, comments and messages."""
    tree = ast.parse(source)
    done = set()  # docstrings and the parts of f-strings
    for node in ast.walk(tree):  # parents before children
        text = ""
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            done.add(node.body[0].value)
            yield from check_docstring(node.body[0].value.lineno, node.body[0].value.value)
        elif isinstance(node, ast.JoinedStr):
            done.update(node.values)
            parts = [getattr(part, "value", "") for part in node.values]
            text = "".join(part if isinstance(part, str) else "..." for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if node in done else node.value
        if len(text.split()) >= 3:
            yield from ((node.lineno, found) for _, found in check_block((1, text), "message"))
    for block in comment_blocks(source):
        yield from check_block(block, "comment")


def check_config(source: str) -> Iterator[Finding]:
    """Yields the findings in the comments of YAML or TOML; consecutive ones are one text."""
    code = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", lambda quoted: "_" * len(quoted[0]), source)
    lines = []
    for line, plain in zip(source.split("\n"), code.split("\n"), strict=True):
        mark = re.search(r"(?:^|\s)#", plain)
        whole = plain.lstrip().startswith("#")
        # A line that ends no comment is a gap that no idiom crosses.
        lines.append((line[mark.end() :] if mark else "") + ("" if whole else " ."))
    yield from check_block((1, "\n".join(lines)), "comment")


def check_markdown(source: str, start: int = 1) -> Iterator[Finding]:
    """Yields the findings outside fenced code, inline code and link targets."""
    text = blank(r"(?m:^ *(```+|~~~+)).*?\n *\1[^\n]*", source)
    text = blank(r"<!--.*?-->|\]\([^)\s]*\)", text)
    lines = []
    for number, line in enumerate([*text.split("\n"), ""], start):
        heading = line.startswith("#")
        if lines and (heading or not line.strip() or re.match(r"\s*([-*+]|\d+\.) ", line)):
            first = number - len(lines)
            yield from check_block((first, "\n".join(lines)), "text", sentences=True)
            lines = []
        if heading:
            yield from check_block((number, line), "heading")
        elif line.strip():
            lines.append(line)


def check_notebook(source: str) -> Iterator[Finding]:
    """Yields the findings in Markdown cells and in the comments of code cells."""
    position = 0
    for cell in json.loads(source)["cells"]:
        text = "".join(cell["source"])
        found = source.find(json.dumps(text.split("\n")[0], ensure_ascii=False)[:-1], position)
        position = found if found >= 0 else position
        first = source.count("\n", 0, position) + 1
        if cell["cell_type"] == "markdown":
            yield from check_markdown(text, first)
        elif cell["cell_type"] == "code":
            for line, comment in comment_blocks(text):
                yield from check_block((first + line - 1, comment), "comment")


def check_file(path: Path) -> list[Finding]:
    """Returns the findings in one file, sorted by line."""
    check = {".py": check_python, ".md": check_markdown, ".ipynb": check_notebook}
    return sorted(set(check.get(path.suffix, check_config)(path.read_text(encoding="utf-8"))))


def list_files(paths: list[str]) -> list[Path]:
    """Returns the given files and the tracked files of the given directories."""
    files = {Path(path) for path in paths if not Path(path).is_dir()}
    for folder in [path for path in paths if Path(path).is_dir()] if paths else ["."]:
        command = ["git", "ls-files", "-z", "--", folder]
        listing = subprocess.run(command, capture_output=True, text=True, check=False)
        tracked = [Path(name) for name in listing.stdout.split("\0") if name]
        found = Path(folder).rglob("*") if listing.returncode else tracked  # no git checkout
        files.update(path for path in found if path.is_file())
    kept = [path for path in files if path.suffix in SUFFIXES]
    return sorted(path for path in kept if not re.search(SKIPPED, path.as_posix()))


def main(paths: list[str]) -> int:
    """Prints the findings; returns the exit code."""
    if missing := [path for path in paths if not Path(path).exists()]:
        sys.exit(f"no such file: {', '.join(missing)}")
    findings = [(path, *finding) for path in list_files(paths) for finding in check_file(path)]
    for path, line, text in findings:
        print(f"{path.as_posix()}:{line}: {text}")
    print(f"{len(findings)} findings in {len({path for path, *_ in findings})} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
