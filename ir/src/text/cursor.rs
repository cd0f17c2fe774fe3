//! The position of a parser in its tokens: lines, words, names, lists, and what is said when something else was expected.

use super::lexer::{Token, TokenKind, tokens};
use crate::{Code, Diagnostic, Place};

/// What a parser function returns: the first mistake ends the item.
pub(super) type Parsed<T> = Result<T, Diagnostic>;

/// Expressions and loops nest at most so deep: the parsers, the printers and the verifiers recurse.
const MAX_DEPTH: usize = 100;

pub(super) struct Cursor<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    file: &'t str,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str, file: &'t str) -> Parsed<Cursor<'t>> {
        Ok(Cursor { tokens: tokens(text, file)?, at: 0, depth: 0, file })
    }

    pub fn peek(&self) -> &TokenKind<'t> {
        &self.tokens[self.at].kind
    }

    /// The token after the next one.
    pub fn peek_second(&self) -> &TokenKind<'t> {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    /// Moves past a token. The last one, `End`, stays.
    pub fn advance(&mut self) -> TokenKind<'t> {
        let kind = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    /// Where the cursor stands, for [`Cursor::rewind`].
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    /// The place of the next token.
    pub fn place(&self) -> Place {
        let token = &self.tokens[self.at];
        Place { file: self.file.to_owned(), line: token.line, column: token.column, ..Place::NONE }
    }

    // --- lines ---

    /// The indentation of the next line, if this one is at its end.
    pub fn next_indent(&self) -> Option<u32> {
        let token = &self.tokens[self.at];
        (token.kind == TokenKind::Newline).then_some(token.column)
    }

    /// Moves to the next line if it is indented by more than `indent`.
    pub fn enter_line(&mut self, indent: u32) -> Option<u32> {
        let next = self.next_indent().filter(|&next| next > indent)?;
        self.advance();
        Some(next)
    }

    pub fn at_line_end(&self) -> bool {
        matches!(self.peek(), TokenKind::Newline | TokenKind::End)
    }

    pub fn expect_line_end(&self) -> Parsed<()> {
        if self.at_line_end() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    pub fn skip_line(&mut self) {
        while !self.at_line_end() {
            self.advance();
        }
    }

    /// Moves to the next line that is not indented, where the next item begins.
    pub fn skip_item(&mut self) {
        self.depth = 0;
        while *self.peek() != TokenKind::End && self.next_indent() != Some(1) {
            self.advance();
        }
    }

    // --- words and punctuation ---

    pub fn at(&self, punctuation: &str) -> bool {
        matches!(self.peek(), TokenKind::Punctuation(text) if *text == punctuation)
    }

    pub fn eat(&mut self, punctuation: &str) -> bool {
        let found = self.at(punctuation);
        if found {
            self.advance();
        }
        found
    }

    pub fn expect(&mut self, punctuation: &str) -> Parsed<()> {
        if self.eat(punctuation) { Ok(()) } else { Err(self.expected(&format!("`{punctuation}`"))) }
    }

    pub fn word(&self) -> Option<&'t str> {
        match self.peek() {
            TokenKind::Name(name) => Some(name),
            _ => None,
        }
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.word() == Some(word);
        if found {
            self.advance();
        }
        found
    }

    pub fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    /// A word that `find` knows; `what` says which are meant.
    pub fn known<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Parsed<T> {
        let Some(word) = self.word() else { return Err(self.expected(what)) };
        let found = find(word).ok_or_else(|| self.unknown(what, word))?;
        self.advance();
        Ok(found)
    }

    /// A name, bare or in quotes.
    pub fn name(&mut self, what: &str) -> Parsed<String> {
        let name = match self.peek() {
            TokenKind::Name(name) => (*name).to_owned(),
            TokenKind::Quoted(name) => name.clone(),
            _ => return Err(self.expected(what)),
        };
        self.advance();
        Ok(name)
    }

    /// `(item, item)` between any brackets, perhaps empty.
    pub fn list<T>(&mut self, open: &str, close: &str, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        self.expect(open)?;
        while !self.eat(close) {
            if !items.is_empty() && !self.eat(",") {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Runs `parse` one level deeper.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.enter()?;
        let result = parse(self);
        self.leave();
        result
    }

    /// Goes one level deeper, until [`Cursor::leave`]. A mistake on the way leaves no level: it ends the item.
    pub fn enter(&mut self) -> Parsed<()> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(Code::Syntax, format!("expressions and loops nest at most {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        Ok(())
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    // --- errors ---

    pub fn error(&self, code: Code, message: String) -> Diagnostic {
        Diagnostic::new(code, message).at(self.place())
    }

    pub fn expected(&self, what: &str) -> Diagnostic {
        self.error(Code::Syntax, format!("expected {what}, found {}", self.found()))
    }

    pub fn unknown(&self, what: &str, name: &str) -> Diagnostic {
        self.error(Code::UnknownItem, format!("expected {what}, and `{name}` is none that is known here"))
    }

    fn found(&self) -> String {
        match self.peek() {
            TokenKind::Name(text) | TokenKind::Number(text) => format!("`{text}`"),
            TokenKind::Punctuation(text) => format!("`{text}`"),
            TokenKind::Quoted(text) => format!("\"{text}\""),
            TokenKind::Place(file, line, column) => format!("`@{file}:{line}:{column}`"),
            TokenKind::Newline => "the end of the line".to_owned(),
            TokenKind::End => "the end of the text".to_owned(),
        }
    }
}
