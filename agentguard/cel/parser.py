"""From a source to its syntax tree: a hand-written recursive-descent parser of the CEL grammar."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

from . import ast
from .errors import CelSyntaxError, Unsupported
from .lexer import Token, tokenize
from .limits import DEFAULT_LIMITS, Limits
from .literals import number_value, text_value
from .macros import expand

RESERVED: Final = frozenset(
    {
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
        "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_CONSTANTS: Final[dict[str, object]] = {"true": True, "false": False, "null": None}
_KEYWORDS: Final = frozenset({"in", *_CONSTANTS})
_PRECEDENCE: Final = {
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
# A chain such as `a + b + c` is no nesting to its reader, but one level of the tree for each operator.
_CHAIN: Final = 2
_NO_BLANKS: Final[Mapping[int, object]] = MappingProxyType({})


def parse(
    source: str, limits: Limits = DEFAULT_LIMITS, blanks: Mapping[int, object] = _NO_BLANKS
) -> ast.Node:
    """The tree of ``source``, macros expanded; ``CelSyntaxError`` or ``Unsupported`` where there is none.

    ``blanks`` are values for the literals that begin at these offsets, in place of their own.
    """
    if len(source) > limits.source:
        message = f"condition too long: {limits.source} characters are possible"
        raise CelSyntaxError(message, source, limits.source)
    if not source.isascii():
        try:
            source.encode()
        except UnicodeEncodeError as error:
            raise CelSyntaxError("lone surrogate: not a Unicode character", source, error.start) from None
    return _Parser(source, limits, blanks).parse()


class _Parser:
    def __init__(self, source: str, limits: Limits, blanks: Mapping[int, object]) -> None:
        self.source = source
        self.limits = limits
        self.blanks = blanks
        self.tokens = tokenize(source)
        self.at = 0
        self.depth = 0
        self.nodes = 0
        self.heights: dict[int, int] = {}

    def parse(self) -> ast.Node:
        tree = self.expression()
        if self.token.kind != "end":
            self.fail(f"unexpected `{self.token.text}`: join two conditions with `&&` or `||`")
        return tree

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def last_end(self) -> int:
        return self.tokens[self.at - 1].end

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        raise CelSyntaxError(message, self.source, self.token.start if position is None else position)

    def accept(self, symbol: str) -> bool:
        token = self.tokens[self.at]
        if token.kind == "symbol" and token.text == symbol:
            self.at += 1
            return True
        return False

    def expect(self, symbol: str, what: str) -> None:
        if not self.accept(symbol):
            found = f"`{self.token.text}`" if self.token.text else "the end"
            self.fail(f"expected `{symbol}` {what}, found {found}")

    def operator(self) -> str | None:
        token = self.tokens[self.at]
        return token.text if token.kind == "symbol" or (token.text == "in" and token.kind == "name") else None

    def made(self, node: ast.Node) -> ast.Node:
        """Count the node and the height of its tree against the limits."""
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            self.fail(f"condition too large: {self.limits.nodes} parts are possible", node.start)
        height = 0
        for child in ast.children(node):
            below = self.heights.pop(id(child), 0)
            if below > height:
                height = below
        height += 1
        if height > self.limits.depth * _CHAIN:
            self.fail("condition too deep: split the chain with parentheses", node.start)
        self.heights[id(node)] = height
        return node

    def nested(self) -> None:
        self.depth += 1
        if self.depth > self.limits.depth:
            self.fail(f"condition too deep: {self.limits.depth} levels are possible")

    # Grammar

    def expression(self) -> ast.Node:
        self.nested()
        start = self.token.start
        condition = self.logical("||", ast.OR)
        if self.accept("?"):
            yes = self.logical("||", ast.OR)
            self.expect(":", "between the two results of `?`")
            no = self.expression()
            condition = self.made(ast.Call(ast.CONDITIONAL, None, (condition, yes, no), start, self.last_end))
        self.depth -= 1
        return condition

    def logical(self, symbol: str, function: str) -> ast.Node:
        start = self.token.start
        operands = [self.logical("&&", ast.AND) if symbol == "||" else self.binary(3)]
        while self.accept(symbol):
            operands.append(self.logical("&&", ast.AND) if symbol == "||" else self.binary(3))
        if len(operands) == 1:
            return operands[0]
        return self.made(ast.Call(function, None, tuple(operands), start, self.last_end))

    def binary(self, lowest: int) -> ast.Node:
        start = self.token.start
        left = self.unary()
        while True:
            symbol = self.operator()
            strength = _PRECEDENCE.get(symbol, 0) if symbol else 0
            if symbol is None or strength < lowest:
                return left
            self.at += 1
            right = self.binary(strength + 1)
            left = self.made(ast.Call(ast.BINARY[symbol], None, (left, right), start, self.last_end))

    def unary(self) -> ast.Node:
        starts: list[int] = []
        symbol = self.token.text
        if self.token.kind == "symbol" and symbol in ("!", "-"):
            while self.token.kind == "symbol" and self.token.text == symbol:
                starts.append(self.token.start)
                self.at += 1
        number = self.token
        if starts and symbol == "-" and number.kind == "number" and number.text[-1] not in "uU":
            starts.pop()
            self.at -= 1
        if len(starts) + self.depth > self.limits.depth:
            self.fail(f"condition too deep: {self.limits.depth} levels are possible")
        node = self.member()
        for start in reversed(starts):
            name = ast.NOT if symbol == "!" else ast.NEGATE
            node = self.made(ast.Call(name, None, (node,), start, self.last_end))
        return node

    def member(self) -> ast.Node:
        start = self.token.start
        node = self.primary()
        while True:
            if self.accept("."):
                node = self.field(node, start)
            elif self.accept("["):
                function = ast.OPTIONAL_INDEX if self.accept("?") else ast.INDEX
                index = self.expression()
                self.expect("]", "after the index")
                node = self.made(ast.Call(function, None, (node, index), start, self.last_end))
            elif self.token.text == "{" and self.token.kind == "symbol" and _is_name(node):
                raise Unsupported('messages are left out: write a map `{"field": value}`', start)
            else:
                return node

    def field(self, node: ast.Node, start: int) -> ast.Node:
        optional = self.accept("?")
        token = self.token
        if token.kind not in ("name", "quoted") or (token.kind == "name" and token.text in _KEYWORDS):
            self.fail("expected a field name after `.`")
        self.at += 1
        if not optional and token.kind == "name" and self.accept("("):
            args = self.sequence(")", "after the arguments")
            return self.call(token.text, node, args, start)
        return self.made(ast.Select(node, token.text, start, token.end, False, optional))

    def call(self, name: str, target: ast.Node | None, args: tuple[ast.Node, ...], start: int) -> ast.Node:
        node = expand(ast.Call(name, target, args, start, self.last_end), self.source)
        return self.made(node)

    def primary(self) -> ast.Node:
        token = self.token
        self.at += 1
        if token.start in self.blanks:
            return self.made(ast.Literal(self.blanks[token.start], token.start, token.end))
        match token.kind:
            case "number":
                number = number_value(token.text, self.source, token.start)
                return self.made(ast.Literal(number, token.start, token.end))
            case "text":
                text = text_value(self.source, token.start, token.end)
                return self.made(ast.Literal(text, token.start, token.end))
            case "name":
                return self.name(token, token.start, absolute=False)
            case "symbol":
                return self.bracket(token)
            case "quoted":
                self.at -= 1
                self.fail("a name in backticks must follow a `.`")
            case "end":
                self.at -= 1
                self.fail("the condition ends too early: a value is missing")

    def name(self, token: Token, start: int, *, absolute: bool) -> ast.Node:
        if token.kind == "name" and token.text in _CONSTANTS and not absolute:
            return self.made(ast.Literal(_CONSTANTS[token.text], start, token.end))
        if token.kind != "name" or token.text in _KEYWORDS:
            self.fail("expected a name", token.start)
        if token.text in RESERVED:
            self.fail(f"`{token.text}` is a reserved word: choose another name", token.start)
        if self.accept("("):
            return self.call(token.text, None, self.sequence(")", "after the arguments"), start)
        return self.made(ast.Ident(token.text, start, token.end, absolute))

    def bracket(self, token: Token) -> ast.Node:
        match token.text:
            case "(":
                node = self.expression()
                self.expect(")", "to close `(`")
                return node
            case "[":
                optional: set[int] = set()
                elements = self.sequence("]", "after the last element", optional)
                return self.made(ast.List(elements, frozenset(optional), token.start, self.last_end))
            case "{":
                return self.map(token.start)
            case ".":
                self.at += 1
                return self.name(self.tokens[self.at - 1], token.start, absolute=True)
            case "-" if self.token.kind == "number" and self.token.text[-1] not in "uU":
                number = self.token
                self.at += 1
                value = number_value(number.text, self.source, token.start, negative=True)
                return self.made(ast.Literal(value, token.start, number.end))
            case _:
                self.at -= 1
                self.fail(f"unexpected `{token.text}`: a value is missing before it")

    def sequence(self, close: str, what: str, optional: set[int] | None = None) -> tuple[ast.Node, ...]:
        """Expressions up to ``close``; a list (``optional`` given) may mark elements and end in a comma."""
        items: list[ast.Node] = []
        if self.accept(close):
            return ()
        while True:
            if optional is not None and self.accept("?"):
                optional.add(len(items))
            items.append(self.expression())
            if not self.accept(","):
                break
            if optional is not None and self.operator() == close:
                break
        self.expect(close, what)
        return tuple(items)

    def map(self, start: int) -> ast.Node:
        entries: list[ast.Entry] = []
        while self.operator() != "}":
            first = self.token.start
            optional = self.accept("?")
            key = self.expression()
            self.expect(":", "between key and value")
            value = self.expression()
            entry = ast.Entry(key, value, optional, first, self.last_end)
            self.made(entry)
            entries.append(entry)
            if not self.accept(","):
                break
        self.expect("}", "after the last entry")
        return self.made(ast.Map(tuple(entries), start, self.last_end))


def _is_name(node: ast.Node) -> bool:
    while isinstance(node, ast.Select) and not node.optional and not node.test_only:
        node = node.operand
    return isinstance(node, ast.Ident)
