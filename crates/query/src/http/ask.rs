//! Where an instance takes the questions of others. Not for clients: it speaks of tasks and of the stores' bytes.
//! Invariant: it is behind a gate of its own, whose secret the instances share.

use super::remote::PATH;
use super::{Gate, Problem, Turn};
use crate::Queries;
use crate::wire::{Answer, Ask, Question};
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};

/// The route on which instances ask each other; where it is not on the public server it has a listener of its own, and
/// `application.server` names that.
pub fn instance_routes(queries: Queries, gate: Gate) -> Router {
    let routes = Router::new().route(PATH, post(take)).with_state(queries);
    gate.around(routes)
}

async fn take(
    State(queries): State<Queries>,
    Extension(turn): Extension<Turn>,
    body: Bytes,
) -> Result<Json<Answer>, Problem> {
    let ask: Ask = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("no question: {error}")))?;
    let waits = matches!(ask.what, Question::Await { .. } | Question::Changes { .. });
    if ask.token.is_some() || waits {
        turn.give_up();
    }
    Ok(Json(queries.answer(ask).await))
}
