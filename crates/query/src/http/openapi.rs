//! What can be asked here, as an OpenAPI 3.1 document. Not the routes themselves. Invariant: what is not shown is not described.

use super::shown::Stores;
use serde_json::{Value, json};

/// Describes the stores that are shown.
pub(super) fn describe(application: &str, stores: &Stores) -> Value {
    let mut paths = serde_json::Map::new();
    for (name, shown) in stores.shown.iter() {
        let kind = shown.kind();
        let one = match kind {
            "windowed" => vec!["from_ms", "to_ms", "limit", "page", "reverse", "watch"],
            "versioned" => vec!["as_of_ms", "from_ms", "to_ms", "watch"],
            _ => vec!["wait", "watch"],
        };
        let many = match kind {
            "windowed" => vec!["from_ms", "to_ms", "limit", "page", "reverse", "watch"],
            _ => vec!["from", "to", "prefix", "limit", "page", "reverse", "watch"],
        };
        let summary = format!("Of the {kind} store {name}, what is under a key");
        let mut of_one = operation(&summary, &one);
        let key = json!({ "name": "key", "in": "path", "required": true, "schema": { "type": "string" } });
        if let Some(parameters) = of_one["get"]["parameters"].as_array_mut() {
            parameters.insert(0, key);
        }
        paths.insert(format!("/stores/{name}/{{key}}"), of_one);
        let summary = format!("Of the {kind} store {name}, a page of entries");
        paths.insert(format!("/stores/{name}"), operation(&summary, &many));
    }
    for (path, summary) in [
        ("/stores", "The stores that are shown"),
        ("/health", "200 while no worker has failed"),
        (
            "/ready",
            "200 while every task of this instance runs, restored",
        ),
        ("/metadata", "Which instance holds which partition"),
        ("/metrics", "Numbers for Prometheus, as OpenMetrics text"),
    ] {
        let ok = json!({ "200": { "description": "So it is" }, "503": problem("Not so") });
        paths.insert(
            path.into(),
            json!({ "get": { "summary": summary, "responses": ok } }),
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": application, "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": { "Problem": {
            "type": "object",
            "description": "RFC 9457",
            "properties": {
                "status": { "type": "integer" },
                "title": { "type": "string" },
                "detail": { "type": "string" },
            },
        } } },
    })
}

fn operation(summary: &str, parameters: &[&str]) -> Value {
    let always = ["timeout", "token", "stale", "partition"];
    let parameters: Vec<Value> = parameters
        .iter()
        .chain(&always)
        .map(|name| {
            let (kind, description) = parameter(name);
            json!({ "name": name, "in": "query", "description": description, "schema": { "type": kind } })
        })
        .collect();
    json!({ "get": {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "JSON; with watch, the events state, entry, gone, live, unreadable and problem, without an end",
                "content": { "application/json": {}, "text/event-stream": {} },
            },
            "400": problem("The request says what cannot be"),
            "404": problem("No such store or key"),
            "503": problem("Restoring, moving or overloaded: ask again"),
            "504": problem("What was waited for did not come in time"),
        },
    } })
}

fn problem(description: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } })
}

fn parameter(name: &str) -> (&'static str, &'static str) {
    match name {
        "watch" => (
            "string",
            "empty: tells what is there and then what changes, as server-sent events; the id of an event: goes on behind it, as the header Last-Event-ID does",
        ),
        "wait" => ("integer", "ms to wait for the key to be there"),
        "timeout" => ("integer", "ms for the answer; 10,000 without it"),
        "token" => (
            "string",
            "what must be visible first; the header headwater-token says the same",
        ),
        "stale" => ("boolean", "a standby may answer"),
        "partition" => (
            "integer",
            "asks this partition instead of the one of the key's hash",
        ),
        "as_of_ms" => ("integer", "the version that held then, ms since the epoch"),
        "from_ms" => ("integer", "the earliest time, ms since the epoch"),
        "to_ms" => ("integer", "the latest time, ms since the epoch"),
        "from" => ("string", "the first key, in the order of the keys' bytes"),
        "to" => ("string", "the last key"),
        "prefix" => ("string", "how text keys begin"),
        "limit" => ("integer", "entries of a page, 10,000 at most"),
        "page" => ("string", "where the page before ended: its next"),
        _ => ("boolean", "from the last key to the first"),
    }
}
