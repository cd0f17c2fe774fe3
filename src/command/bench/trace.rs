//! The launches of a step in the trace event format, which chrome://tracing and ui.perfetto.dev read.

use std::path::Path;

use serde_json::json;

use super::roofline::TimedLaunch;
use crate::Error;

pub(super) fn write(path: &Path, launches: &[TimedLaunch]) -> Result<(), Error> {
    let mut begin_us = 0.0;
    let events: Vec<serde_json::Value> = launches
        .iter()
        .map(|launch| {
            let (ts, dur) = (begin_us, launch.time_ns / 1e3);
            begin_us += dur;
            json!({"name": launch.name, "ph": "X", "pid": 1, "tid": 1, "ts": ts, "dur": dur, "args": {"place": launch.place}})
        })
        .collect();
    let text = json!({"traceEvents": events, "displayTimeUnit": "ms"}).to_string();
    std::fs::write(path, text).map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
}
