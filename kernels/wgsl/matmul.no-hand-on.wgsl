fn hand_on(first_group: u32, thread: u32) {
}
