package main

import sd "github.com/coreos/go-systemd/v22/daemon"

// notifyReady tells systemd, if it started xpcd with Type=notify.
func notifyReady() { sd.SdNotify(false, sd.SdNotifyReady) }

func notifyStopping() { sd.SdNotify(false, sd.SdNotifyStopping) }
