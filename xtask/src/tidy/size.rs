//! How long a file and a function may be, and the list of those that are longer already.
//! Not a measure of quality: only the insurance against one file that swallows everything.
//! Invariant: the list shrinks; an entry must equal what is measured, so that no gain is given back.

use super::source::Source;
use std::collections::BTreeMap;
use syn::{spanned::Spanned, visit::Visit};

/// Lines that are neither blank nor only a comment.
pub(super) const FILE_CODE_LINES_MAX: usize = 600;
/// Lines from `fn` to the closing brace: what a screen shows.
pub(super) const FUNCTION_LINES_MAX: usize = 70;

const LIST: &str = "xtask/src/ratchet.txt";

/// Everything over its limit and not listed, everything listed and no longer so.
pub(super) fn check(sources: &[Source], ratchet: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut over = BTreeMap::new();
    for source in sources {
        let lines = code_lines(&source.text);
        if lines > FILE_CODE_LINES_MAX {
            over.insert(
                format!("file {}", source.path),
                (lines, FILE_CODE_LINES_MAX),
            );
        }
        match function_lines(&source.text) {
            Err(error) => findings.push(format!("{}: cannot be parsed: {error}", source.path)),
            Ok(functions) => {
                for (name, lines) in functions
                    .into_iter()
                    .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
                {
                    over.insert(
                        format!("function {}::{name}", source.path),
                        (lines, FUNCTION_LINES_MAX),
                    );
                }
            }
        }
    }
    let listed = listed(ratchet, &mut findings);
    for (what, (lines, max)) in &over {
        match listed.get(what) {
            None => findings.push(format!(
                "{what}: {lines} lines, the limit is {max}: split it"
            )),
            Some(allowed) if lines > allowed => {
                findings.push(format!(
                    "{what}: grew from {allowed} to {lines} lines; the limit is {max}"
                ));
            }
            Some(allowed) if lines < allowed => {
                findings.push(format!(
                    "{LIST}: {what} has shrunk: write {lines} for {allowed}"
                ));
            }
            Some(_) => {}
        }
    }
    let gone = listed.keys().filter(|what| !over.contains_key(*what));
    findings.extend(
        gone.map(|what| format!("{LIST}: {what} is within its limit or gone: delete the line")),
    );
    findings
}

/// Lines of the list: `file PATH LINES` or `function PATH::NAME LINES`; `#` opens a comment.
fn listed(ratchet: &str, findings: &mut Vec<String>) -> BTreeMap<String, usize> {
    let mut listed = BTreeMap::new();
    for (index, line) in ratchet.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match line
            .rsplit_once(' ')
            .map(|(what, lines)| (what, lines.parse()))
        {
            Some((what, Ok(lines))) => {
                listed.insert(what.to_owned(), lines);
            }
            _ => findings.push(format!(
                "{LIST}:{}: not `file PATH LINES` or `function PATH::NAME LINES`",
                index + 1
            )),
        }
    }
    listed
}

fn code_lines(text: &str) -> usize {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(code).count()
}

/// The length of each function by name; of several with one name the longest.
fn function_lines(text: &str) -> syn::Result<BTreeMap<String, usize>> {
    let mut lengths = Lengths::default();
    lengths.visit_file(&syn::parse_file(text)?);
    Ok(lengths.0)
}

#[derive(Default)]
struct Lengths(BTreeMap<String, usize>);

impl Lengths {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let last = body.brace_token.span.close().end().line;
        let longest = self.0.entry(signature.ident.to_string()).or_default();
        *longest = (*longest).max(last - first + 1);
    }
}

impl<'ast> Visit<'ast> for Lengths {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}
