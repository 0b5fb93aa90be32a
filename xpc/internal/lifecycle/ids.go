package lifecycle

import "slices"

// inOrder lists ids as they were made, so that the same events always have the same effects.
func inOrder(set map[ID]struct{}) []ID {
	ids := make([]ID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
