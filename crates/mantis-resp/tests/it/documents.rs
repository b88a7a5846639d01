//! The page of the commands is what the table says.

#[test]
fn the_page_lists_every_command_of_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/redis.md");
    let page = std::fs::read_to_string(page).unwrap();
    let table = mantis_resp::markdown();
    assert!(page.contains(&table), "docs/guide/redis.md needs\n{table}");
}
