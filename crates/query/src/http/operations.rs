//! What operators ask: is it alive, is it ready, who holds what, how much has it done. Not the stores' contents.
//! Invariant: `/ready` is 200 only while every task that this instance has runs, restored.

use super::metrics::Metrics;
use super::{Problem, shown::Stores};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use headwater_log::TaskId;
use headwater_runtime::{Role, Running};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the routes look at.
#[derive(Clone)]
struct Looked {
    running: Arc<Running>,
    stores: Stores,
    metrics: Metrics,
}

/// `/health`, `/ready`, `/metadata`, `/metrics` and `/openapi.json`. Behind no gate: whoever watches the service must get through when
/// it is busy.
pub fn operation_routes(running: &Arc<Running>, stores: &Stores, metrics: &Metrics) -> Router {
    let looked = Looked {
        running: running.clone(),
        stores: stores.clone(),
        metrics: metrics.clone(),
    };
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metadata", get(metadata))
        .route("/metrics", get(numbers))
        .route("/openapi.json", get(describe))
        .with_state(looked)
}

async fn health(State(looked): State<Looked>) -> Result<Json<Value>, Problem> {
    if looked.running.failed() {
        return Err(unavailable(
            "a worker has failed; the log of this process says why",
        ));
    }
    Ok(Json(json!({ "status": "alive" })))
}

async fn ready(State(looked): State<Looked>) -> Result<Json<Value>, Problem> {
    let running = &looked.running;
    if running.failed() {
        return Err(unavailable("a worker has failed"));
    }
    let tasks = running.tasks();
    let active = || tasks.iter().filter(|status| status.role == Role::Active);
    let waiting: Vec<String> = active()
        .filter(|status| status.state != "running")
        .map(|status| {
            let (task, state, percent) = (status.task, status.state, status.restored_percent());
            format!("task {task} is {state}, {percent} % restored")
        })
        .collect();
    if !waiting.is_empty() {
        return Err(unavailable(&waiting.join("; ")));
    }
    // More instances than tasks: one that has none is ready as soon as the group has told it so.
    if tasks.is_empty() && running.running_tasks() == 0 && running.hosts().all().is_empty() {
        return Err(unavailable("the group has not assigned tasks yet"));
    }
    Ok(Json(
        json!({ "status": "ready", "tasks": active().count() }),
    ))
}

async fn metadata(State(looked): State<Looked>) -> Json<Value> {
    let state = looked.stores.queries.state();
    let stores = looked.stores.shown.iter().filter_map(|(name, shown)| {
        let place = state.place(name)?;
        let count = state.tasks(place.subtopology).unwrap_or(0);
        let partitions: Vec<Value> = (0..count)
            .map(|partition| {
                let task = TaskId {
                    subtopology: place.subtopology,
                    partition,
                };
                let hosts = state.hosts();
                let standbys = hosts.standbys(task).into_iter().map(|it| it.to_string());
                json!({
                    "partition": partition,
                    "active": hosts.active(task).map(|it| it.to_string()),
                    "standby": standbys.collect::<Vec<String>>(),
                    "here": state.views().runs(task),
                })
            })
            .collect();
        Some(json!({
            "store": name,
            "kind": shown.kind(),
            "subtopology": place.subtopology,
            "global": place.is_global,
            "partitions": partitions,
        }))
    });
    Json(json!({
        "application": state.topology().application(),
        "endpoint": state.endpoint().map(|it| it.to_string()),
        "stores": stores.collect::<Vec<Value>>(),
    }))
}

async fn numbers(State(looked): State<Looked>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match looked.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

async fn describe(State(looked): State<Looked>) -> Json<Value> {
    let application = looked.running.topology().application();
    Json(super::openapi::describe(application, &looked.stores))
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}
