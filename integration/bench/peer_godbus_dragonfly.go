package main

// godbusPeer does not compile for this system.
var godbusPeer = &peer{
	key: "godbus", name: "D-Bus, godbus", note: "does not compile for DragonFly",
	prepare: func(*site, *running) (string, error) { return "", skip("godbus does not compile for DragonFly") },
}
