//! Python expressions of one variable, as `lr_lambda` has them: numbers, `epoch`, operators, comparisons, `x if c else y`, functions.

use super::Unsupported;

/// The value of an expression at an epoch.
pub(super) fn evaluate(text: &str, epoch: f64) -> Result<f64, Unsupported> {
    let tokens = tokens(text);
    let mut parser = Parser { text, tokens: &tokens, epoch };
    let value = parser.choice()?;
    if parser.tokens.is_empty() { Ok(value) } else { Err(parser.fault()) }
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let length = if word(first) {
            // `1e-3` is one number.
            let end = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
            let exponent = first.is_ascii_digit() && rest[..end].ends_with('e') && rest[end..].starts_with('-');
            if exponent {
                end + 1 + rest[end + 1..].find(|c: char| !word(c)).unwrap_or(rest.len() - end - 1)
            } else {
                end
            }
        } else {
            let double = ["**", "//", "<=", ">=", "==", "!="].iter().any(|operator| rest.starts_with(operator));
            if double { 2 } else { first.len_utf8() }
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [&'a str],
    epoch: f64,
}

impl Parser<'_> {
    fn fault(&self) -> Unsupported {
        Unsupported(format!("expression `{}` at `{}`", self.text, self.tokens.join(" ")))
    }

    /// Takes the next token if it is one of these.
    fn next_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = words.iter().find(|word| self.tokens.first() == Some(word))?;
        self.tokens = &self.tokens[1..];
        Some(found)
    }

    fn expect(&mut self, word: &'static str) -> Result<(), Unsupported> {
        self.next_of(&[word]).map(|_| ()).ok_or_else(|| self.fault())
    }

    fn choice(&mut self) -> Result<f64, Unsupported> {
        let value = self.comparison()?;
        if self.next_of(&["if"]).is_none() {
            return Ok(value);
        }
        let condition = self.comparison()?;
        self.expect("else")?;
        let other = self.choice()?;
        Ok(if condition == 0.0 { other } else { value })
    }

    fn comparison(&mut self) -> Result<f64, Unsupported> {
        let left = self.sum()?;
        let Some(operator) = self.next_of(&["<", "<=", ">", ">=", "==", "!="]) else { return Ok(left) };
        let right = self.sum()?;
        let holds = match operator {
            "<" => left < right,
            "<=" => left <= right,
            ">" => left > right,
            ">=" => left >= right,
            "==" => left == right,
            _ => left != right,
        };
        Ok(f64::from(holds))
    }

    fn sum(&mut self) -> Result<f64, Unsupported> {
        let mut value = self.product()?;
        while let Some(operator) = self.next_of(&["+", "-"]) {
            let term = self.product()?;
            value = if operator == "+" { value + term } else { value - term };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<f64, Unsupported> {
        let mut value = self.sign()?;
        while let Some(operator) = self.next_of(&["*", "/", "//", "%"]) {
            let factor = self.sign()?;
            value = match operator {
                "*" => value * factor,
                "/" => value / factor,
                "//" => (value / factor).floor(),
                _ => value - (value / factor).floor() * factor,
            };
        }
        Ok(value)
    }

    fn sign(&mut self) -> Result<f64, Unsupported> {
        match self.next_of(&["-", "+"]) {
            Some("-") => Ok(-self.sign()?),
            Some(_) => self.sign(),
            None => self.power(),
        }
    }

    fn power(&mut self) -> Result<f64, Unsupported> {
        let base = self.atom()?;
        // The exponent binds to the right, and may have a sign.
        if self.next_of(&["**"]).is_some() { Ok(base.powf(self.sign()?)) } else { Ok(base) }
    }

    fn atom(&mut self) -> Result<f64, Unsupported> {
        if self.next_of(&["("]).is_some() {
            let value = self.choice()?;
            self.expect(")")?;
            return Ok(value);
        }
        let Some((&word, rest)) = self.tokens.split_first() else { return Err(self.fault()) };
        if let Ok(number) = word.parse() {
            self.tokens = rest;
            return Ok(number);
        }
        let named = match word.trim_start_matches("math.") {
            "epoch" => Some(self.epoch),
            "pi" => Some(std::f64::consts::PI),
            _ => None,
        };
        match named {
            Some(value) => {
                self.tokens = rest;
                Ok(value)
            }
            None => self.call(word, rest),
        }
    }

    fn call(&mut self, word: &str, rest: &[&str]) -> Result<f64, Unsupported> {
        if rest.first() != Some(&"(") {
            return Err(self.fault());
        }
        let fault = self.fault();
        self.tokens = &self.tokens[2..];
        let mut arguments = vec![self.choice()?];
        while self.next_of(&[","]).is_some() {
            arguments.push(self.choice()?);
        }
        self.expect(")")?;
        match (word.trim_start_matches("math."), arguments.as_slice()) {
            ("min", values) => Ok(values.iter().copied().fold(f64::INFINITY, f64::min)),
            ("max", values) => Ok(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            ("abs", &[x]) => Ok(x.abs()),
            ("float", &[x]) => Ok(x),
            ("int", &[x]) => Ok(x.trunc()),
            ("exp", &[x]) => Ok(x.exp()),
            ("log", &[x]) => Ok(x.ln()),
            ("sqrt", &[x]) => Ok(x.sqrt()),
            ("sin", &[x]) => Ok(x.sin()),
            ("cos", &[x]) => Ok(x.cos()),
            ("pow", &[x, y]) => Ok(x.powf(y)),
            _ => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_python() {
        let cases = [
            ("0.95 ** epoch", 0.95_f64.powi(7)),
            ("0.5 ** (epoch // 2)", 0.125),
            ("-2 ** 2", -4.0),
            ("2 ** -1", 0.5),
            ("2 ** 3 ** 0", 2.0),
            ("min(1, (epoch + 1) / 16)", 0.5),
            ("1 - 2 - 3 * 4 % 5", -3.0),
            ("1 if epoch < 5 else 1e-3 * epoch", 0.007),
            ("0.5 * (1 + math.cos(math.pi * 1))", 0.0),
        ];
        for (text, expected) in cases {
            assert!((evaluate(text, 7.0).unwrap() - expected).abs() < 1e-12, "{text}");
        }
        for text in ["epoch +", "(epoch", "batch", "1 2", "min()"] {
            assert!(evaluate(text, 7.0).is_err(), "{text}");
        }
    }
}
