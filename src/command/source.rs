//! What a MODEL argument stands for: a registered model, or a file of IR text.

use kiln_frontend::Code;
use kiln_ir::Graph;
use kiln_ir::text::Item;
use kiln_passes::pipeline::Request;

use super::{Model, mistake, names};
use crate::compiler::request;
use crate::{Error, ir_file};

/// A model as the pipeline takes it, or IR that is further down already.
pub(super) enum Source {
    /// Graphs.
    Request(Box<Request>),
    /// Kernels or a program, which no graph pass applies to.
    Lower(Vec<Item>),
}

/// Finds a model by name, or reads the file.
pub(super) fn find(models: &[Model], name: &str) -> Result<Source, Error> {
    if let Some(model) = models.iter().find(|model| model.name == name) {
        return Ok(Source::Request(Box::new(request((model.trace)().map_err(Error::Model)?))));
    }
    if !name.ends_with(".kir") {
        let message = format!("there is no model `{name}`");
        let help = format!("the models are {}; IR text is read from files that end in .kir", names(models));
        return Err(mistake(Code::UnknownName, message, help));
    }
    let items = ir_file::read(name)?;
    let graphs: Vec<_> =
        items.iter().filter_map(|item| if let Item::Graph(graph) = item { Some(graph) } else { None }).collect();
    if graphs.is_empty() {
        return Ok(Source::Lower(items));
    }
    let mut request = Request { name: model_name(graphs[0]).to_owned(), ..Request::default() };
    for graph in graphs {
        let unit = match graph.name.rsplit('.').next() {
            Some("train_step") => &mut request.train,
            Some("eval_loss") => &mut request.eval,
            _ => &mut request.predict,
        };
        if unit.replace(graph.clone()).is_some() {
            let message = format!("`{name}` has two graphs for one entry point: `{}` is the second", graph.name);
            let help =
                "a file holds at most `NAME.train_step`, `NAME.eval_loss` and `NAME.predict`; other names mean predict";
            return Err(mistake(Code::DuplicateName, message, help.to_owned()));
        }
    }
    Ok(Source::Request(Box::new(request)))
}

/// `lenet` of `lenet.train_step`.
fn model_name(graph: &Graph) -> &str {
    graph.name.split('.').next().unwrap_or(&graph.name)
}
