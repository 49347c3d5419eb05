//! One suite over both storages: what the service promises, whoever keeps the practice.
//!
//! Each test is written once, for a [`ground::Ground`], and runs on SQLite and on a real MongoDB replica set: over TLS, with the service's
//! account under the role that the program prints, and listened to, see [`listening`].

#![allow(clippy::unwrap_used, reason = "tests")]

/// Runs each test on both storages.
macro_rules! on_both_storages {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::ground::Ground::sqlite()).await;
            })+
        }

        mod on_mongodb {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let ground = crate::ground::Ground::mongodb().await;
                let heard = ground.heard();
                super::$test(ground).await;
                heard.conclude().await;
            })+
        }
    };
}

mod accounts;
mod blobs;
mod bookings;
mod clinic;
mod content;
mod failover;
mod feed;
mod ground;
mod least_privilege;
mod listening;
mod mongodb_only;
mod random_histories;
mod receipts;
mod recovery;
mod sessions;
mod sharding;
mod stored;
mod tombstones;
