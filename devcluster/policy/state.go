// Package policy turns NetworkPolicies into nftables rules for one node; pure translation.
//
// It must import neither the apiserver's nor the kubelet's packages, so that its tests link in
// seconds. Who reads the objects and loads the rules is the enforcer, one directory up.
package policy

import (
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// State is what is known of the cluster, as far as policies judge it.
type State struct {
	Pods       []Pod
	Namespaces map[string]labels.Set
	Policies   []*networking.NetworkPolicy
	// AlwaysFrom are addresses whose traffic no policy stops. Policies never stop what a pod's
	// own machine sends; the control plane is on the machine of every pod here.
	AlwaysFrom []netip.Addr
}

// Pod is one end of connections. Addresses is usually one; two for the moment in which a pod's
// sandbox is replaced by a new one.
type Pod struct {
	Namespace string
	Name      string
	UID       types.UID
	Node      string
	Addresses []netip.Addr
	Labels    labels.Set
	Ports     []NamedPort
}

// NamedPort is a port that policies may call by name.
type NamedPort struct {
	Name     string
	Protocol core.Protocol
	Number   int32
}

// FromPod returns a pod as policies see it, and whether they see it at all: not those that use
// the network of their node, and not those that have ended, whose address is another's by now.
// One without an address counts: its node may have given it one that the apiserver does not know.
func FromPod(pod *core.Pod) (Pod, bool) {
	over := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	if pod.Spec.HostNetwork || over || pod.Spec.NodeName == "" {
		return Pod{}, false
	}
	seen := Pod{
		Namespace: pod.Namespace,
		Name:      pod.Name,
		UID:       pod.UID,
		Node:      pod.Spec.NodeName,
		Labels:    pod.Labels,
		Ports:     namedPorts(pod),
	}
	if address, err := netip.ParseAddr(pod.Status.PodIP); err == nil {
		seen.Addresses = []netip.Addr{address}
	}
	return seen, true
}

func namedPorts(pod *core.Pod) []NamedPort {
	containers := slices.Clone(pod.Spec.Containers)
	for _, each := range pod.Spec.InitContainers {
		// a sidecar serves as long as the pod does; others are over before it starts
		if each.RestartPolicy != nil && *each.RestartPolicy == core.ContainerRestartPolicyAlways {
			containers = append(containers, each)
		}
	}
	var named []NamedPort
	for _, container := range containers {
		for _, port := range container.Ports {
			if port.Name != "" {
				named = append(named, NamedPort{port.Name, orTCP(port.Protocol), port.ContainerPort})
			}
		}
	}
	return named
}

func (p Pod) port(name string, protocol core.Protocol) (int32, bool) {
	for _, port := range p.Ports {
		if port.Name == name && port.Protocol == protocol {
			return port.Number, true
		}
	}
	return 0, false
}

func orTCP(protocol core.Protocol) core.Protocol {
	if protocol == "" {
		return core.ProtocolTCP
	}
	return protocol
}

// Claim is an address that a node gave to a pod.
type Claim struct {
	UID     types.UID  `json:"uid"`
	Address netip.Addr `json:"address"`
}

// WithClaims returns the pods, those of this node with the addresses that it gave them. It knows
// a second or two before the apiserver does, and an address that was taken back is no longer
// theirs. Of two claims to one address the later in the list holds.
func WithClaims(node string, pods []Pod, claims []Claim) []Pod {
	holder := map[netip.Addr]types.UID{}
	for _, claim := range claims {
		holder[claim.Address] = claim.UID
	}
	held := map[types.UID][]netip.Addr{}
	for address, uid := range holder {
		held[uid] = append(held[uid], address)
	}
	corrected := slices.Clone(pods)
	for i, pod := range corrected {
		if pod.Node == node {
			corrected[i].Addresses = held[pod.UID]
		}
	}
	return corrected
}
