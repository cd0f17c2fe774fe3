//! The rules of the three levels, one case each: every `// error: K0204` in a file of this folder must be found on its line, and
//! nothing else. A case is written as it prints, so that lines of the text are lines of the file.

use std::fs;
use std::path::Path;

use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::text::{Item, parse_kernel, parse_module};
use kiln_ir::verify::{Finding, Ranges, can_share, marked, verify_graph, verify_kernel, verify_program};
use kiln_ir::{Atom, AxisId, Code, Expr, Graph, Index, LocalId, TensorId};

fn verify(item: &Item) -> Vec<Finding> {
    match item {
        Item::Graph(graph) => verify_graph(graph),
        Item::Kernel(kernel) => verify_kernel(kernel),
        Item::Program(program) => verify_program(program),
    }
}

/// The findings in a file, by its lines.
fn verify_file(text: &str, file: &str) -> Vec<Finding> {
    let module = parse_module(text, file).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let bare: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap().trim_end()).collect();
    assert_eq!(module.to_string().lines().collect::<Vec<_>>(), bare, "{file} is not written as it prints");
    let mut first_line = 0;
    let mut findings = Vec::new();
    for item in &module.items {
        let lines = item.to_string().lines().count() as u32;
        for finding in verify(item) {
            assert!((1..=lines).contains(&finding.line), "{file}: a finding in line {} of {lines}", finding.line);
            findings.push(Finding { line: first_line + finding.line, ..finding });
        }
        first_line += lines + 1;
    }
    findings
}

#[test]
fn every_rule_blames_its_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kir"));
    paths.sort();
    let mut failures = String::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let findings = verify_file(&text, &path.display().to_string());
        let found: Vec<(u32, &str)> = findings.iter().map(|f| (f.line, f.diagnostic.code.text())).collect();
        let marks = text.lines().zip(1..).filter_map(|(line, number)| Some((number, line.split_once("// error: ")?.1)));
        let wanted: Vec<(u32, &str)> = marks.collect();
        if found != wanted {
            failures +=
                &format!("{}\n  wanted {wanted:?}\n  found  {found:?}\n{}\n", path.display(), marked(&text, &findings));
        }
    }
    assert!(paths.len() >= 9, "the cases are gone");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn good_cases_are_good() {
    for name in ["lenet", "program", "graph"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/text/cases/{name}.kir"));
        let text = fs::read_to_string(path).unwrap();
        let findings = verify_file(&text, name);
        assert!(findings.is_empty(), "{}", marked(&text, &findings));
    }
}

#[test]
fn findings_are_marked_below_their_line() {
    let text = "kernel k(x: f32[4]) -> (y: f32[4])   @lenet.rs:3:7 in conv1\n  for i in 4\n    y[i] = x[i + 1]\n";
    let kernel = parse_kernel(text, "k.kir").unwrap();
    let findings = verify_kernel(&kernel);
    assert_eq!(findings[0].diagnostic.place.to_string(), "lenet.rs:3:7 in conv1");
    let expected = format!("{text}    ^ error[K0204]: index 0 of `x[i + 1]` stays below 4: `i + 1` is from 1 to 4\n");
    assert_eq!(marked(text, &findings), expected);
}

/// What text cannot say.
#[test]
fn ids_that_name_nothing_are_found() {
    let text = "kernel k(x: f32[4]) -> (y: f32[4])\n  for i in 4\n    a = x[i]\n    y[i] = a\n";
    let good = parse_kernel(text, "k.kir").unwrap();
    assert_eq!(verify_kernel(&good), []);
    let broken = |change: fn(&mut Kernel)| {
        let mut kernel = good.clone();
        change(&mut kernel);
        let findings = verify_kernel(&kernel);
        assert_eq!(findings.iter().map(|f| f.diagnostic.code).collect::<Vec<_>>(), [Code::BadKernel], "{kernel}");
        assert!(kernel.to_string().contains('?'), "{kernel}");
    };
    fn body(kernel: &mut Kernel) -> &mut Vec<Statement> {
        let Statement::For(_, body) = &mut kernel.body[0] else { panic!("a loop") };
        body
    }
    broken(|kernel| drop(kernel.locals.pop()));
    broken(|kernel| body(kernel)[0] = Statement::Let(LocalId(0), Expr::axis(7)));
    broken(|kernel| body(kernel)[1] = Statement::Store { tensor: TensorId(9), index: vec![], value: Expr::axis(0) });
    broken(|kernel| kernel.body.push(Statement::For(vec![AxisId(3)], vec![])));
    broken(|kernel| kernel.schedule.thread.push(AxisId(3)));
}

#[test]
fn divisors_are_positive() {
    let text = "kernel k(x: f32[4]) -> (y: f32[4])\n  for i in 4\n    y[i] = x[i]\n";
    let mut kernel = parse_kernel(text, "k.kir").unwrap();
    let Statement::For(_, body) = &mut kernel.body[0] else { panic!("a loop") };
    let Statement::Store { index, .. } = &mut body[0] else { panic!("a store") };
    *index = vec![Index::atom(Atom::Mod(Box::new(Index::axis(AxisId(0))), 0))];
    assert_eq!(verify_kernel(&kernel)[0].diagnostic.code, Code::BadKernel);
}

#[test]
fn cycles_are_found() {
    let text = "graph g\n  %x = input {role = data} : f32[4]\n  %a = relu %x : f32[4]\n  %b = relu %a : f32[4]\n";
    let mut graph: Graph = kiln_ir::text::parse_graph(text, "g.kir").unwrap();
    let (a, b) = (graph.find("a").unwrap(), graph.find("b").unwrap());
    graph.set_operand(a, 0, b);
    assert_eq!(verify_graph(&graph)[0].diagnostic.code, Code::BadOrder);
}

#[test]
fn buffers_are_shared_only_within_an_iteration() {
    let shares = |body: &str, ty: &str| {
        let text = format!("kernel k(x: {ty}, z: f32[B,4]) -> (y: f32[B,4])\n  for n in B, i in 4\n{body}");
        let kernel = parse_kernel(&text, "k.kir").unwrap();
        can_share(&kernel, TensorId(0), TensorId(2))
    };
    assert!(shares("    y[n, i] = x[n, i] + z[n, 3 - i]\n", "f32[B,4]"));
    assert!(!shares("    y[n, i] = x[n, 3 - i]\n", "f32[B,4]"));
    assert!(!shares("    y[n, i] = f32(x[n, i])\n", "i32[B,4]"));
    assert!(!shares("    y[n, i] = x[n, i] + x[n, 0]\n", "f32[B,4]"));
    assert!(!shares("    y[n, i] = z[n, i]\n    a = x[n, i]\n", "f32[B,4]"));
    let rows = |index: &str| {
        let text = format!(
            "kernel k(x: f32[B,4]) -> (y: f32[B,4])\n  for n in B\n    m = max c in 4 of x[{index}]\n    for i in 4\n      y[n, i] = x[n, i] - m\n"
        );
        can_share(&parse_kernel(&text, "k.kir").unwrap(), TensorId(0), TensorId(1))
    };
    assert!(rows("n, c"));
    assert!(!rows("0, c"));
}

/// Intervals hold what is really reached, for every index of a kernel and several batch sizes.
#[test]
fn ranges_hold_what_is_reached() {
    let text = "kernel k() -> (y: f32[])\n  for n in B, p in 4, i in 8 while 8*p + i < 28, q in 3, j in 4 while 4*q + j < 2*B\n    y[] = 0.0\n";
    let kernel = parse_kernel(text, "k.kir").unwrap();
    let ranges = Ranges::new(&kernel);
    let axis = |at: u32| Index::axis(AxisId(at));
    let mut indices: Vec<Index> = (0..5).map(axis).collect();
    // Every round combines what the ones before have made.
    for step in 0..60_i64 {
        let (a, b) = ((step as usize * 7) % indices.len(), (step as usize * 11 + 3) % indices.len());
        let (a, b, by) = (indices[a].clone(), indices[b].clone(), 2 + step % 5);
        indices.push(match step % 4 {
            0 => a.times(step % 7 - 3).plus(&b).shifted(step % 3 - 1),
            1 => a.plus(&b.times(8)).div(by),
            2 => a.times(3).plus(&b).rem(by),
            _ => axis(1).times(8).plus(&axis(2)).times(step % 3 - 1).plus(&a),
        });
    }
    let mut tight = 0;
    for index in &indices {
        let range = ranges.index(index).unwrap();
        for batch in [1, 2, 3, 5] {
            let bound = |bound: kiln_ir::verify::Bound| bound.constant + bound.batch * batch;
            let (low, high) = (bound(range.low), bound(range.high));
            let reached = positions(batch).into_iter().map(|at| evaluate(index, &at));
            let (least, greatest) = reached.fold((i64::MAX, i64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            assert!(
                low <= least && greatest <= high,
                "{index:?} at B = {batch}: {least}..{greatest} not in {low}..{high}"
            );
            tight += usize::from(low == least && high == greatest);
        }
    }
    assert!(tight > indices.len(), "the intervals are loose: {tight} of {} are exact", 4 * indices.len());
}

/// Every position of the kernel above.
fn positions(batch: i64) -> Vec<[i64; 5]> {
    let mut positions = Vec::new();
    for n in 0..batch {
        for p in 0..4 {
            for i in (0..8).filter(|i| 8 * p + i < 28) {
                for q in 0..3 {
                    positions.extend((0..4).filter(|j| 4 * q + j < 2 * batch).map(|j| [n, p, i, q, j]));
                }
            }
        }
    }
    positions
}

fn evaluate(index: &Index, at: &[i64; 5]) -> i64 {
    let value = |atom: &Atom| match atom {
        Atom::Axis(axis) => at[axis.0 as usize],
        Atom::Div(inner, by) => evaluate(inner, at).div_euclid(*by),
        Atom::Mod(inner, by) => evaluate(inner, at).rem_euclid(*by),
        Atom::ExactDiv(..) | Atom::Value(_) => panic!("not made here"),
    };
    index.terms.iter().map(|(atom, factor)| factor * value(atom)).sum::<i64>() + index.offset
}
