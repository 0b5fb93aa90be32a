package identity

import "strings"

// unifiedCgroup is the path in the one hierarchy of cgroup v2, "" without it.
func unifiedCgroup(text string) string {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path
		}
	}
	return ""
}

// unitOf is the system's unit that a control group belongs to: the first one below
// the slices. What is deeper may be a user's own, who can call it what he likes.
func unitOf(path string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch {
		case strings.HasSuffix(part, ".slice"):
		case strings.HasSuffix(part, ".service"), strings.HasSuffix(part, ".scope"):
			return part
		default:
			return ""
		}
	}
	return ""
}

// containerOf is the name that a container manager of the system gave: the id of
// Docker's, Podman's and containerd's, the name of systemd's and LXC's. A user's
// own containers are not named: their control groups are the user's to name.
func containerOf(path string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		scope := strings.TrimSuffix(part, ".scope")
		for _, prefix := range []string{"docker-", "libpod-", "cri-containerd-", "crio-", "lxc.payload."} {
			if id, ok := strings.CutPrefix(scope, prefix); ok && id != "" {
				return id
			}
		}
		if name, ok := strings.CutPrefix(scope, "machine-"); ok && name != "" && scope != part {
			return strings.ReplaceAll(name, `\x2d`, "-")
		}
		if strings.HasPrefix(part, "user@") || part == "user.slice" {
			return ""
		}
	}
	if id, ok := strings.CutPrefix(path, "/docker/"); ok && !strings.Contains(id, "/") {
		return id
	}
	return ""
}
