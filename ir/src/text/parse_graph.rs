//! Text to a graph; the inverse of [`super::print_graph`].
//!
//! The text of an attribute does not always tell its form: `[1, 2]` may be integers, floats or extents. Each op's definition
//! takes one form only, so all that the text could mean are offered to it in turn.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::cursor::{Cursor, Parsed};
use super::lexer::TokenKind;
use super::parts::{is_bare_init, is_init_word};
use super::print_graph::implied_attribute;
use crate::graph::Node;
use crate::{Attribute, Code, DType, Diagnostic, Dim, Graph, Number, Op, Place, Type, ValueId};

/// The size of integer attributes: a product of two cannot overflow.
const MAX_INTEGER: i64 = 1 << 31;

/// The graph whose word `graph` is next, on a line indented to column `indent`.
pub(super) fn parse_graph(cursor: &mut Cursor<'_>, indent: u32) -> Parsed<Graph> {
    cursor.expect_word("graph")?;
    let mut graph = Graph::new(cursor.name("the graph's name")?);
    if cursor.eat_word("batch") {
        cursor.expect("<=")?;
        graph.max_batch = Some(cursor.integer::<u32>("the greatest batch size")? as usize);
    }
    cursor.expect_line_end()?;
    let mut parser = Parser { cursor, graph, values: BTreeMap::new() };
    while parser.cursor.enter_line(indent).is_some() {
        parser.line()?;
        parser.cursor.expect_line_end()?;
    }
    Ok(parser.graph)
}

/// A graph that is an attribute: `(%x = input {role = data} : f32[3]; output d0 = %x)`.
fn parse_inner(cursor: &mut Cursor<'_>) -> Parsed<Graph> {
    cursor.expect("(")?;
    let mut parser = Parser { cursor, graph: Graph::new(""), values: BTreeMap::new() };
    loop {
        parser.line()?;
        if !parser.cursor.eat(";") {
            break;
        }
    }
    parser.cursor.expect(")")?;
    Ok(parser.graph)
}

struct Parser<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    graph: Graph,
    values: BTreeMap<String, ValueId>,
}

impl Parser<'_, '_> {
    fn line(&mut self) -> Parsed<()> {
        match self.cursor.word() {
            Some("output") => self.output(),
            Some("update") => self.update(),
            _ if self.cursor.at("%") => self.node(),
            _ => Err(self.cursor.expected("`%`, `output` or `update`")),
        }
    }

    /// `%y = conv %x, %w {stride = [1, 1]} : f32[B,6,28,28] by conv1 @lenet.rs:14:17 in conv1`.
    fn node(&mut self) -> Parsed<()> {
        self.cursor.expect("%")?;
        let name = self.cursor.name("a value")?;
        self.cursor.expect("=")?;
        let op_place = self.cursor.place();
        let op_name = self.cursor.known("an op", |word| Op::NAMES.iter().copied().find(|name| *name == word))?;
        let mut operands = Vec::new();
        while self.cursor.at("%") {
            operands.push(self.value()?);
            if !self.cursor.eat(",") {
                break;
            }
        }
        let attributes = if self.cursor.at("{") { self.cursor.list("{", "}", attribute)? } else { Vec::new() };
        self.cursor.expect(":")?;
        let ty = self.cursor.ty()?;
        let op = build_op(op_name, &attributes, &ty).map_err(|error| error.at(op_place))?;
        let layout = if self.cursor.eat_word("layout") { Some(self.axes()?) } else { None };
        let again = self.cursor.eat_word("again");
        let kernel = if self.cursor.eat_word("by") { Some(self.cursor.name("a kernel")?) } else { None };
        let place = self.cursor.place_mark()?.unwrap_or(Place::NONE);
        let node = Node { name: name.clone(), op, ty, place, kernel, layout, again };
        let value = self.graph.insert(node, &operands);
        self.values.entry(name).or_insert(value);
        Ok(())
    }

    fn axes(&mut self) -> Parsed<Vec<usize>> {
        let axis = |cursor: &mut Cursor<'_>| Ok(cursor.integer::<u32>("an axis")? as usize);
        self.cursor.list("[", "]", axis)
    }

    fn output(&mut self) -> Parsed<()> {
        self.cursor.advance();
        let name = self.cursor.name("the output's name")?;
        self.cursor.expect("=")?;
        let value = self.value()?;
        self.graph.add_output(name, value);
        Ok(())
    }

    fn update(&mut self) -> Parsed<()> {
        self.cursor.advance();
        let input = self.value()?;
        self.cursor.expect("=")?;
        let value = self.value()?;
        self.graph.add_update(input, value);
        Ok(())
    }

    fn value(&mut self) -> Parsed<ValueId> {
        self.cursor.expect("%")?;
        let start = self.cursor.position();
        let name = self.cursor.name("a value")?;
        self.values.get(&name).copied().ok_or_else(|| {
            self.cursor.rewind(start);
            self.cursor.unknown("a value that is defined above", &name)
        })
    }
}

/// An attribute's name, and everything that its text may mean.
type Readings = (String, Vec<Attribute>);

/// One number or extent of a list.
struct Element {
    integer: Option<i64>,
    float: Option<f64>,
    dim: Option<Dim>,
}

fn build_op(name: &str, attributes: &[Readings], ty: &Type) -> Result<Op, Diagnostic> {
    let asked = RefCell::new(Vec::new());
    let mut chosen: BTreeMap<&str, usize> = BTreeMap::new();
    loop {
        let get = |attribute: &str| {
            asked.borrow_mut().push(attribute.to_owned());
            match attributes.iter().find(|(name, _)| name == attribute) {
                Some((_, readings)) => readings.get(chosen.get(attribute).copied().unwrap_or(0)).cloned(),
                None => implied_attribute(attribute, ty),
            }
        };
        let wrong = match Op::from_attributes(name, &get) {
            Some(Ok(op)) => {
                let known = |name: &String| asked.borrow().contains(name);
                return match attributes.iter().find(|(name, _)| !known(name)) {
                    Some((extra, _)) => Err(mistake(format!("{name} has no attribute `{extra}`"))),
                    None => Ok(op),
                };
            }
            Some(Err(wrong)) => wrong,
            None => return Err(mistake(format!("there is no op `{name}`"))),
        };
        let Some((_, readings)) = attributes.iter().find(|(name, _)| name == wrong) else {
            return Err(mistake(format!("{name} needs an attribute `{wrong}`")));
        };
        let next = chosen.entry(wrong).or_insert(0);
        *next += 1;
        if *next >= readings.len() {
            return Err(mistake(format!("{name} does not take this value for its attribute `{wrong}`")));
        }
    }
}

fn mistake(message: String) -> Diagnostic {
    Diagnostic::new(Code::UnknownItem, message)
}

/// `stride = [1, 1]`.
fn attribute(cursor: &mut Cursor<'_>) -> Parsed<Readings> {
    let name = cursor.name("an attribute")?;
    cursor.expect("=")?;
    Ok((name, readings(cursor)?))
}

fn readings(cursor: &mut Cursor<'_>) -> Parsed<Vec<Attribute>> {
    if cursor.at("[") {
        let elements = cursor.list("[", "]", element)?;
        return list_readings(cursor, &elements);
    }
    if cursor.at("(") {
        return Ok(vec![Attribute::Graph(Box::new(cursor.nested(parse_inner)?))]);
    }
    if let TokenKind::Quoted(text) = cursor.peek() {
        let text = text.clone();
        cursor.advance();
        return Ok(vec![Attribute::Text(text)]);
    }
    match cursor.word() {
        Some("inf" | "nan") | None => {
            let Element { integer, float, .. } = element(cursor)?;
            let number = float.map(|value| Attribute::Float(Number::new(value)));
            Ok(integer.map(Attribute::Int).into_iter().chain(number).collect())
        }
        Some(word)
            if is_init_word(word) && (is_bare_init(word) || *cursor.peek_second() == TokenKind::Punctuation("(")) =>
        {
            Ok(vec![Attribute::Init(cursor.init()?), Attribute::Text(word.to_owned())])
        }
        Some(word) => {
            cursor.advance();
            let boolean = word.parse().ok().map(Attribute::Bool);
            let dtype = DType::from_name(word).map(Attribute::DType);
            Ok(boolean.into_iter().chain(dtype).chain([Attribute::Text(word.to_owned())]).collect())
        }
    }
}

fn list_readings(cursor: &Cursor<'_>, elements: &[Element]) -> Parsed<Vec<Attribute>> {
    let integers = elements.iter().map(|element| element.integer).collect::<Option<_>>();
    let dims = elements.iter().map(|element| element.dim).collect::<Option<Vec<Dim>>>();
    let floats = elements.iter().map(|element| element.float.map(Number::new)).collect::<Option<_>>();
    let readings = [
        integers.map(Attribute::Ints),
        // A list too long to be a shape is data, and its product means nothing.
        dims.filter(|dims| cursor.check_count(dims).is_ok()).map(Attribute::Dims),
        floats.map(Attribute::Floats),
    ];
    let readings: Vec<Attribute> = readings.into_iter().flatten().collect();
    if readings.is_empty() { Err(cursor.expected("a list of numbers or of extents")) } else { Ok(readings) }
}

fn element(cursor: &mut Cursor<'_>) -> Parsed<Element> {
    let start = cursor.position();
    if cursor.word() == Some("B") || matches!(cursor.peek_second(), TokenKind::Punctuation("*")) {
        let dim = cursor.dim()?;
        return Ok(Element { integer: None, float: None, dim: Some(dim) });
    }
    let float = cursor.float()?;
    cursor.rewind(start);
    let negative = cursor.eat("-");
    let integer = match cursor.peek() {
        TokenKind::Number(text) => text.parse::<i64>().ok().filter(|value| *value <= MAX_INTEGER),
        _ => None,
    };
    cursor.advance();
    let integer = integer.map(|value| if negative { -value } else { value });
    let dim = integer.and_then(|value| usize::try_from(value).ok()).map(Dim::fixed);
    Ok(Element { integer, float: Some(float), dim })
}
