package policy

import (
	"net/netip"
	"reflect"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func running() *core.Pod {
	always := core.ContainerRestartPolicyAlways
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "front", UID: "1"},
		Spec: core.PodSpec{
			NodeName: here,
			InitContainers: []core.Container{
				{Ports: []core.ContainerPort{{Name: "once", ContainerPort: 1}}},
				{RestartPolicy: &always, Ports: []core.ContainerPort{{Name: "side", ContainerPort: 2}}},
			},
			Containers: []core.Container{{Ports: []core.ContainerPort{
				{Name: "http", ContainerPort: 8000}, {ContainerPort: 9000},
			}}},
		},
		Status: core.PodStatus{Phase: core.PodRunning, PodIP: "10.244.1.2"},
	}
}

func TestAPodIsSeenWithItsNamedPorts(t *testing.T) {
	got, seen := FromPod(running())
	want := []NamedPort{{"http", core.ProtocolTCP, 8000}, {"side", core.ProtocolTCP, 2}}
	if !seen || !reflect.DeepEqual(got.Ports, want) {
		t.Errorf("seen %v with %v, want %v", seen, got.Ports, want)
	}
}

func TestPoliciesAreNotAboutPodsWithoutANetworkOfTheirOwn(t *testing.T) {
	for id, change := range map[string]func(*core.Pod){
		"on the node's network": func(pod *core.Pod) { pod.Spec.HostNetwork = true },
		"succeeded":             func(pod *core.Pod) { pod.Status.Phase = core.PodSucceeded },
		"failed":                func(pod *core.Pod) { pod.Status.Phase = core.PodFailed },
		"not scheduled":         func(pod *core.Pod) { pod.Spec.NodeName = "" },
	} {
		t.Run(id, func(t *testing.T) {
			pod := running()
			change(pod)
			if _, seen := FromPod(pod); seen {
				t.Error("seen")
			}
		})
	}
}

func TestANodeKnowsTheAddressesOfItsPodsBest(t *testing.T) {
	address := netip.MustParseAddr
	unknown := Pod{UID: "new", Node: here}
	known := Pod{UID: "old", Node: here, Addresses: []netip.Addr{address("10.244.1.2")}}
	remote := Pod{UID: "far", Node: other, Addresses: []netip.Addr{address("10.244.2.2")}}
	cases := map[string]struct {
		claims []Claim
		want   map[string]string
	}{
		"before the apiserver does": {
			[]Claim{{"old", address("10.244.1.2")}, {"new", address("10.244.1.3")}},
			map[string]string{"old": "10.244.1.2", "new": "10.244.1.3", "far": "10.244.2.2"},
		},
		"an address that was taken back": {
			nil, map[string]string{"old": "", "new": "", "far": "10.244.2.2"},
		},
		"an address that went to another pod": {
			[]Claim{{"old", address("10.244.1.2")}, {"new", address("10.244.1.2")}},
			map[string]string{"old": "", "new": "10.244.1.2", "far": "10.244.2.2"},
		},
	}
	for id, given := range cases {
		t.Run(id, func(t *testing.T) {
			got := map[string]string{}
			for _, pod := range WithClaims(here, []Pod{unknown, known, remote}, given.claims) {
				got[string(pod.UID)] = ""
				for _, each := range pod.Addresses {
					got[string(pod.UID)] += each.String()
				}
			}
			if !reflect.DeepEqual(got, given.want) {
				t.Errorf("got %v, want %v", got, given.want)
			}
		})
	}
}
