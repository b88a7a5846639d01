//! Keys, whatever they hold.

use bytes::Bytes;
use mantis_session::{Batch, BatchOp, Command, Condition, OpDone, Reply as Done};

use super::{Client, strange};
use crate::failure::{Failure, Outcome};
use crate::reply::Reply;

pub(crate) fn del(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let delete = |key: &Bytes| BatchOp::Delete {
        key: key.clone(),
        condition: Condition::Always,
    };
    let done = together(client, arguments.iter().map(delete).collect())?;
    let deleted = done
        .iter()
        .filter(|done| matches!(done, OpDone::Deleted { deleted: true }));
    Ok(Reply::count(deleted.count()))
}

pub(crate) fn exists(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let get = |key: &Bytes| BatchOp::Get { key: key.clone() };
    let done = together(client, arguments.iter().map(get).collect())?;
    let there = done
        .iter()
        .filter(|done| matches!(done, OpDone::Got(Some(_))));
    Ok(Reply::count(there.count()))
}

pub(crate) fn kind(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let key = arguments.first().ok_or_else(Failure::syntax)?;
    Ok(Reply::Status(match client.get(key)? {
        Some(_) => "string",
        None => "none",
    }))
}

/// Operations in one commit, or from one moment.
pub(super) fn together(client: &Client, ops: Vec<BatchOp>) -> Result<Vec<OpDone>, Failure> {
    let batch = Batch {
        ops,
        atomic: true,
        durability: client.durability(),
    };
    let Done::KvBatch(done) = client.session.execute(Command::KvBatch(batch))? else {
        return Err(strange());
    };
    let results = done.results.into_iter();
    results
        .map(|done| done.map_err(|error| Failure::Session(error.into())))
        .collect()
}
