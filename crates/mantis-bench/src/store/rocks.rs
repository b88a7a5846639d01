//! RocksDB: leveled, LZ4, bloom filters of 10 bits a key, and the memory of the others. Its indexes and
//! filters stand outside of its cache, as they do by default: inside a small one they push each other
//! out, and a get takes ten times as long.

use std::path::Path;

use anyhow::Result;
use rocksdb::{
    BlockBasedOptions, Cache, CompactOptions, DB, DBCompressionType, Options, ReadOptions,
    WriteOptions,
};

use super::{Memory, Store};
use crate::keys::Key;

/// One database; its write-ahead log is on.
pub(super) struct Rocks {
    db: DB,
    write: WriteOptions,
}

impl Rocks {
    pub(super) fn open(dir: &Path, memory: &Memory, sync: bool) -> Result<Self> {
        let mut write = WriteOptions::default();
        write.set_sync(sync);
        let db = DB::open(&options(memory)?, dir)?;
        Ok(Self { db, write })
    }
}

/// The settings of every database here.
pub(crate) fn options(memory: &Memory) -> Result<Options> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(10.0, false);
    blocks.set_block_cache(&Cache::new_lru_cache(usize::try_from(memory.cache_bytes)?)?);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(usize::try_from(memory.memtable_bytes)?);
    options.set_max_write_buffer_number(4);
    options.set_db_write_buffer_size(usize::try_from(memory.memtables_bytes_max)?);
    // One thread that flushes and one that compacts, as with us.
    options.set_max_background_jobs(2);
    Ok(options)
}

impl Store for Rocks {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.write)?)
    }

    fn get(&self, key: &Key) -> Result<usize> {
        Ok(self.db.get_pinned(key)?.map_or(0, |value| value.len()))
    }

    fn scan(&self, from: &Key, rows: usize) -> Result<usize> {
        let mut found = 0;
        let mut rows_left = self.db.raw_iterator_opt(ReadOptions::default());
        rows_left.seek(from);
        while found < rows
            && let (Some(key), Some(value)) = (rows_left.key(), rows_left.value())
        {
            found += usize::from(key.len() + value.len() > 0);
            rows_left.next();
        }
        rows_left.status()?;
        Ok(found)
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        let everything = CompactOptions::default();
        self.db
            .compact_range_opt(None::<&[u8]>, None::<&[u8]>, &everything);
        Ok(())
    }
}
