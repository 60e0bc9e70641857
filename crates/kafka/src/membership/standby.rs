//! Standby replicas of a streams group, which are a setting of the group and not of its members (`streams.num.standby.replicas`).
//! Not an assignment: the coordinator makes that. Invariant: a group without the setting runs, and somebody is told.

use crate::{
    cluster::Cluster,
    protocol::{
        ErrorCode,
        incremental_alter_configs::{
            AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
            IncrementalAlterConfigsRequest,
        },
    },
};
use std::time::Duration;
use tokio::time::sleep;

const RESOURCE_GROUP: i8 = 32;
const OPERATION_SET: i8 = 0;
const NAME: &str = "streams.num.standby.replicas";
/// Tries, and the wait between them: brokers that are being started.
const TRIES_MAX: u32 = 30;
const WAIT: Duration = Duration::from_secs(1);

/// Sets how many standby replicas each task with state has, none included. The group need not exist. `Err` says in words that it
/// keeps what it had, and why.
pub(crate) async fn set(cluster: &Cluster, group: &str, replicas: u32) -> Result<(), String> {
    let request = request(group, replicas);
    let mut reason = String::new();
    for _ in 0..TRIES_MAX {
        match cluster.any(&request).await {
            Ok(response) => {
                let Some(refused) = response.responses.iter().find(|it| !it.error_code.is_ok())
                else {
                    return Ok(());
                };
                reason = in_words(group, refused);
                if !refused.error_code.is_retriable() {
                    break;
                }
            }
            Err(error) => {
                reason = error.to_string();
                if !error.is_retriable() {
                    break;
                }
            }
        }
        sleep(WAIT).await;
    }
    Err(format!(
        "group '{group}' keeps its own number of standby replicas instead of {replicas}: {NAME} cannot be set: {reason}"
    ))
}

fn in_words(group: &str, refused: &AlterConfigsResourceResponse) -> String {
    let code = refused.error_code;
    match code {
        ErrorCode::GROUP_AUTHORIZATION_FAILED => format!(
            "{code}: the principal lacks the right AlterConfigs; \
             grant it: kafka-acls --add --allow-principal User:.. --operation AlterConfigs --group {group}"
        ),
        _ => format!(
            "{code}: {}",
            refused.error_message.as_deref().unwrap_or_default()
        ),
    }
}

fn request(group: &str, replicas: u32) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: RESOURCE_GROUP,
            resource_name: group.to_owned(),
            configs: vec![AlterableConfig {
                name: NAME.to_owned(),
                config_operation: OPERATION_SET,
                value: Some(replicas.to_string()),
            }],
        }],
        validate_only: false,
    }
}
