//! What a broker said of itself: which versions of which requests, and which features are in force.
//! Not the asking. Invariant: the version chosen is the highest both sides speak.

use super::error::RequestError;
use crate::protocol::{Request, api_versions::ApiVersionsResponse};
use std::{collections::HashMap, ops::RangeInclusive};

/// A broker's versions and the cluster's finalized features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    ranges: HashMap<i16, RangeInclusive<i16>>,
    features: HashMap<String, i16>,
}

impl Versions {
    pub(crate) fn new(response: &ApiVersionsResponse) -> Self {
        Self {
            ranges: response
                .api_keys
                .iter()
                .map(|api| (api.api_key, api.min_version..=api.max_version))
                .collect(),
            features: response
                .finalized_features
                .iter()
                .map(|feature| (feature.name.clone(), feature.max_version_level))
                .collect(),
        }
    }

    /// The highest version of `R` that both sides speak and that is at most `version_max`.
    pub(crate) fn choose<R: Request>(&self, version_max: i16) -> Result<i16, RequestError> {
        let Some(theirs) = self.ranges.get(&R::KEY) else {
            return Err(RequestError::Unsupported(format!(
                "the broker does not know {} requests",
                R::NAME
            )));
        };
        let ours = R::VERSIONS;
        let version = *theirs.end().min(ours.end()).min(&version_max);
        if version < *theirs.start() || version < *ours.start() {
            return Err(RequestError::Unsupported(format!(
                "the broker speaks {} requests {} to {}, this client {} to {}; brokers from 3.9 on are supported",
                R::NAME,
                theirs.start(),
                theirs.end(),
                ours.start(),
                version_max.min(*ours.end())
            )));
        }
        Ok(version)
    }

    /// Whether the broker knows a request at all.
    pub(crate) fn knows(&self, key: i16) -> bool {
        self.ranges.contains_key(&key)
    }

    /// A finalized feature's level, 0 when it is not in force.
    pub(crate) fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }
}
