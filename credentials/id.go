package credentials

// id widens a kernel id: all bits set, the kernel's "nobody", becomes -1; every
// other id keeps its value where int has 64 bits.
func id(kernel uint32) int {
	if kernel == ^uint32(0) {
		return -1
	}
	return int(kernel)
}
