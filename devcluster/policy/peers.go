package policy

import (
	"net/netip"
	"slices"

	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// peers are the other ends that one rule of a policy names. Blocks are judged by address alone,
// pods of the cluster included.
type peers struct {
	anyone bool
	pods   []Pod
	blocks []networking.IPBlock
}

func (s State) peers(namespace string, listed []networking.NetworkPolicyPeer) peers {
	if len(listed) == 0 {
		return peers{anyone: true, pods: s.Pods}
	}
	var found peers
	matches := make([]func(Pod) bool, 0, len(listed))
	for _, peer := range listed {
		if peer.IPBlock != nil {
			found.blocks = append(found.blocks, *peer.IPBlock)
			continue
		}
		matches = append(matches, s.matcher(namespace, peer))
	}
	for _, pod := range s.Pods {
		if slices.ContainsFunc(matches, func(match func(Pod) bool) bool { return match(pod) }) {
			found.pods = append(found.pods, pod)
		}
	}
	return found
}

// matcher says which pods a peer means: without a namespaceSelector those of the policy's own
// namespace, without a podSelector all of the namespaces.
func (s State) matcher(namespace string, peer networking.NetworkPolicyPeer) func(Pod) bool {
	pods := labels.Everything()
	if peer.PodSelector != nil {
		pods = selector(peer.PodSelector)
	}
	if peer.NamespaceSelector == nil {
		return func(pod Pod) bool { return pod.Namespace == namespace && pods.Matches(pod.Labels) }
	}
	spaces := selector(peer.NamespaceSelector)
	return func(pod Pod) bool {
		space, known := s.Namespaces[pod.Namespace]
		return known && spaces.Matches(space) && pods.Matches(pod.Labels)
	}
}

// selector takes one that cannot be read for one that selects nothing; the apiserver stores none.
func selector(stated *meta.LabelSelector) labels.Selector {
	read, err := meta.LabelSelectorAsSelector(stated)
	if err != nil {
		return labels.Nothing()
	}
	return read
}

func addresses(pods []Pod) []netip.Addr {
	var all []netip.Addr
	for _, pod := range pods {
		for _, address := range pod.Addresses {
			if address.Is4() {
				all = append(all, address)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}
