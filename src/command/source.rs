//! What a MODEL argument stands for: a registered model, or a file of IR text.

use std::path::Path;

use kiln_frontend::Code;
use kiln_ir::text::{Item, parse_module};
use kiln_passes::pipeline::Request;

use super::{Model, mistake};
use crate::Error;
use crate::compiler::request;

/// A model as the pipeline takes it, or IR that is further down already.
pub(super) enum Source {
    /// Graphs.
    Request(Request),
    /// Kernels or a program, which no graph pass applies to.
    Lower(Vec<Item>),
}

/// Finds a model by name, or reads the file.
pub(super) fn find(models: &[Model], name: &str) -> Result<Source, Error> {
    if let Some(model) = models.iter().find(|model| model.name == name) {
        return Ok(Source::Request(request((model.trace)().map_err(Error::Model)?)));
    }
    if !name.ends_with(".kir") {
        let names: Vec<String> = models.iter().map(|model| format!("`{}`", model.name)).collect();
        let message = format!("there is no model `{name}`");
        let help = format!("the models are {}; IR text is read from files that end in .kir", names.join(", "));
        return Err(mistake(Code::UnknownName, message, help));
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::File { action: "read", path: path.to_owned(), source })?;
    let items = parse_module(&text, name).map_err(Error::Model)?.items;
    let graphs: Vec<_> = items.iter().filter_map(|item| if let Item::Graph(graph) = item { Some(graph) } else { None }).collect();
    if graphs.is_empty() {
        return Ok(Source::Lower(items));
    }
    let unit = |graph: &&kiln_ir::Graph| {
        let name = graph.name.rsplit('.').next().unwrap_or(&graph.name);
        (name.to_owned(), (*graph).clone())
    };
    let model = graphs[0].name.split('.').next().unwrap_or("model").to_owned();
    Ok(Source::Request(Request { name: model, units: graphs.iter().map(unit).collect(), rules: None }))
}
