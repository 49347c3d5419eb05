//! The real service on loopback, with its real storage and real keys, asked over HTTP as devices and strangers ask it.

#![allow(clippy::unwrap_used, reason = "tests")]

/// Runs each test over both storages.
macro_rules! over_both_storages {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::clinic::Folders::new()).await;
            })+
        }

        mod on_mongodb {
            $(#[tokio::test]
            async fn $test() {
                let server = caseload_testkit::mongod::Mongod::replica_set().await.unwrap();
                super::$test(crate::mongo::folders(&server)).await;
            })+
        }
    };
}

mod access;
mod blobs;
mod bodies;
mod clinic;
mod enrolling;
mod member;
mod mongo;
mod publishing;
mod pushing;
mod reading;
mod revoking;
mod running;
mod scopes;
mod signing_in;
mod versions;
