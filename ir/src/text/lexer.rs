//! Characters to tokens, for all three levels of IR text.
//!
//! Blocks are told by indentation, so each line that holds something begins with a [`TokenKind::Newline`] whose column is the
//! line's indentation. Inside brackets lines run on, until a word in the first column: items begin there, and an unclosed
//! bracket must not swallow the next one.

use crate::{Code, Diagnostic, Place};

/// A token and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token<'t> {
    pub kind: TokenKind<'t>,
    pub line: u32,
    pub column: u32,
}

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum TokenKind<'t> {
    /// A word, or several joined by dots: `conv1`, `layer1.0.conv1`.
    Name(&'t str),
    /// A name that is no word, in quotes: `"0.weight"`.
    Quoted(String),
    /// A number with its suffix: `3`, `0.5`, `1e-7f64`. The sign is a token of its own.
    Number(&'t str),
    /// `@lenet.rs:14:17`, as file, line and column.
    Place(String, u32, u32),
    /// One of [`PUNCTUATION`].
    Punctuation(&'static str),
    /// The beginning of a line that is not empty; its column is that of the line's first token.
    Newline,
    /// The end of the text.
    End,
}

/// Longest first, so that the first that fits is the one meant.
const PUNCTUATION: [&str; 25] = [
    "->", "..", "/!", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}", ",",
    ":", ";", "|", "=",
];

/// The tokens of a text, the last one always `End`.
pub(super) fn tokens<'t>(text: &'t str, file: &str) -> Result<Vec<Token<'t>>, Diagnostic> {
    let mut lexer = Lexer { text, file, at: 0, line: 1, line_start: 0, open_brackets: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

/// Whether a text is one [`TokenKind::Name`].
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().next().is_some_and(starts_name) && name_length(text) == text.len()
}

struct Lexer<'t, 'f> {
    text: &'t str,
    file: &'f str,
    at: usize,
    line: u32,
    line_start: usize,
    open_brackets: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t, '_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        let mut begins_line = true;
        loop {
            let rest = self.rest();
            let Some(first) = rest.chars().next() else { break };
            if first == '\n' {
                self.at += 1;
                self.line += 1;
                self.line_start = self.at;
                begins_line = true;
            } else if first.is_whitespace() {
                self.at += first.len_utf8();
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                if begins_line {
                    self.begin_line(first);
                    begins_line = false;
                }
                self.token(first)?;
            }
        }
        self.push(TokenKind::End, self.at);
        Ok(())
    }

    fn begin_line(&mut self, first: char) {
        if self.at == self.line_start && starts_name(first) {
            self.open_brackets = 0;
        }
        if self.open_brackets == 0 {
            self.push(TokenKind::Newline, self.at);
        }
    }

    fn token(&mut self, first: char) -> Result<(), Diagnostic> {
        let start = self.at;
        let rest = self.rest();
        let kind = if starts_name(first) {
            let length = name_length(rest);
            self.at += length;
            TokenKind::Name(&rest[..length])
        } else if first.is_ascii_digit() {
            let length = number_length(rest);
            self.at += length;
            TokenKind::Number(&rest[..length])
        } else if first == '"' {
            TokenKind::Quoted(self.quoted()?)
        } else if first == '@' {
            self.place()?
        } else if let Some(text) = PUNCTUATION.into_iter().find(|text| rest.starts_with(text)) {
            self.at += text.len();
            match text {
                "(" | "[" | "{" => self.open_brackets += 1,
                ")" | "]" | "}" => self.open_brackets = self.open_brackets.saturating_sub(1),
                _ => {}
            }
            TokenKind::Punctuation(text)
        } else {
            return Err(self.error(start, format!("no token begins with `{first}`")));
        };
        self.push(kind, start);
        Ok(())
    }

    /// A string in quotes; the escapes are `\"`, `\\` and `\n`.
    fn quoted(&mut self) -> Result<String, Diagnostic> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                '\n' => break,
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => return Err(self.error(start, "the escapes of a string are \\\", \\\\ and \\n".to_owned())),
                },
                _ => text.push(character),
            }
        }
        Err(self.error(start, "a string ends on its line, with `\"`".to_owned()))
    }

    /// `@FILE:LINE:COLUMN`, with the file in quotes unless it is one word.
    fn place(&mut self) -> Result<TokenKind<'t>, Diagnostic> {
        let start = self.at;
        self.at += 1;
        let quoted = if self.rest().starts_with('"') { Some(self.quoted()?) } else { None };
        let word_length = self.rest().find(|c: char| !is_file_character(c)).unwrap_or(self.rest().len());
        let word = &self.rest()[..word_length];
        self.at += word_length;
        let parts: Vec<&str> = word.rsplitn(3, ':').collect();
        let numbers = match parts.as_slice() {
            [column, line, file] if file.is_empty() == quoted.is_some() => line.parse().ok().zip(column.parse().ok()),
            _ => None,
        };
        match numbers {
            Some((line, column)) => Ok(TokenKind::Place(quoted.unwrap_or_else(|| parts[2].to_owned()), line, column)),
            None => Err(self.error(start, "a place is written `@FILE:LINE:COLUMN`".to_owned())),
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: TokenKind<'t>, start: usize) {
        let column = self.column(start);
        self.tokens.push(Token { kind, line: self.line, column });
    }

    fn column(&self, start: usize) -> u32 {
        self.text[self.line_start..start].chars().count() as u32 + 1
    }

    fn error(&self, start: usize, message: String) -> Diagnostic {
        let place = Place { file: self.file.to_owned(), line: self.line, column: self.column(start), ..Place::NONE };
        Diagnostic::new(Code::Syntax, message).at(place)
    }
}

/// Whether a place's file may hold this character without quotes.
pub(super) fn is_file_character(character: char) -> bool {
    !character.is_whitespace() && !matches!(character, '"' | ',' | ';' | '(' | ')')
}

fn starts_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn name_length(text: &str) -> usize {
    let word = |text: &str| text.find(|c| !continues_name(c)).unwrap_or(text.len());
    let mut length = word(text);
    while let Some(rest) = text[length..].strip_prefix('.')
        && word(rest) > 0
    {
        length += 1 + word(rest);
    }
    length
}

fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    let mut length = digits(0);
    if text[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if text[length..].starts_with('e') {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        if digits(length + 1 + sign) > 0 {
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    length + text[length..].find(|c| !continues_name(c)).unwrap_or(text.len() - length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind<'_>> {
        tokens(text, "t.kir").unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn dots_join_names_but_not_ranges() {
        use TokenKind::*;
        let expected = [
            Newline,
            Name("layer1.0.bn"),
            Number("0"),
            Punctuation(".."),
            Number("3"),
            Number("1.5e-7f64"),
            Name("e"),
            End,
        ];
        assert_eq!(kinds("layer1.0.bn 0..3 1.5e-7f64 e // comment"), expected);
    }

    #[test]
    fn lines_run_on_in_brackets_until_the_first_column() {
        let newlines = |text| kinds(text).iter().filter(|kind| **kind == TokenKind::Newline).count();
        assert_eq!(newlines("a(\n  b\n)"), 1);
        assert_eq!(newlines("a(\n  b\nc"), 2);
    }

    #[test]
    fn places_and_strings() {
        let place = |file: &str| TokenKind::Place(file.to_owned(), 3, 7);
        assert_eq!(kinds(r#"@C:\a.rs:3:7"#)[1], place(r"C:\a.rs"));
        assert_eq!(kinds(r#"@"my \"a\".rs":3:7"#)[1], place("my \"a\".rs"));
        for (text, column) in [("x @a.rs:3", 3), (r#""abc"#, 1), (r#""\q""#, 1), ("a ?", 3), ("@:1:1", 1)] {
            let error = tokens(text, "t.kir").unwrap_err();
            assert_eq!((error.code, error.place.line, error.place.column), (Code::Syntax, 1, column), "{text}");
        }
    }
}
