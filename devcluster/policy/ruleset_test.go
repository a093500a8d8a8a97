package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type (
	peer        = networking.NetworkPolicyPeer
	port        = networking.NetworkPolicyPort
	ingressRule = networking.NetworkPolicyIngressRule
	egressRule  = networking.NetworkPolicyEgressRule
	spec        = networking.NetworkPolicySpec
)

const (
	here  = "node-1"
	other = "node-2"
)

// The cluster of these tests: the pods `shop/front` (here) and `shop/chit` (elsewhere), and a
// stranger in the namespace `monitoring`, which has a label.
func cluster(policies ...*networking.NetworkPolicy) State {
	http := NamedPort{"http", core.ProtocolTCP, 8000}
	dns := NamedPort{"dns", core.ProtocolUDP, 53}
	return State{
		Pods: []Pod{
			pod("shop/front", here, "10.244.1.2", http),
			pod("shop/chit", other, "10.244.2.3", http, dns),
			pod("shop/odd", other, "10.244.2.4", NamedPort{"http", core.ProtocolTCP, 9999}),
			pod("monitoring/scraper", other, "10.244.2.5"),
		},
		Namespaces: map[string]labels.Set{
			"shop":       {"name": "shop"},
			"monitoring": {"name": "monitoring", "team": "ops"},
		},
		Policies: policies,
	}
}

func pod(key, node, address string, ports ...NamedPort) Pod {
	namespace, name, _ := strings.Cut(key, "/")
	return Pod{
		Namespace: namespace,
		Name:      name,
		UID:       types.UID(key),
		Node:      node,
		Addresses: []netip.Addr{netip.MustParseAddr(address)},
		Labels:    labels.Set{"app": name},
		Ports:     ports,
	}
}

func policy(name string, spec spec) *networking.NetworkPolicy {
	return &networking.NetworkPolicy{
		ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: name}, Spec: spec,
	}
}

func app(name string) *meta.LabelSelector {
	return &meta.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func number(value int) *intstr.IntOrString    { p := intstr.FromInt(value); return &p }
func name(value string) *intstr.IntOrString   { p := intstr.FromString(value); return &p }
func until(value int32) *int32                { return &value }
func over(value core.Protocol) *core.Protocol { return &value }

var everyPod = &meta.LabelSelector{}

// judged returns what a chain lets through, and false for a pod that is not isolated. Sets are
// written out, so that a case can be read without its neighbours.
func judged(t *testing.T, state State, towards, address string) ([]string, bool) {
	t.Helper()
	text := Ruleset(here, state)
	_, elements, _ := strings.Cut(text, "map "+towards+" { type ipv4_addr : verdict;")
	elements, _, _ = strings.Cut(elements, "\n")
	_, chain, isolated := strings.Cut(elements, address+" : jump ")
	if !isolated {
		return nil, false
	}
	chain = strings.FieldsFunc(chain, func(r rune) bool { return r == ',' || r == ' ' })[0]
	_, body, found := strings.Cut(text, "chain "+chain+" {\n")
	if !found {
		t.Fatalf("no chain %s in\n%s", chain, text)
	}
	body, _, _ = strings.Cut(body, "\n\t}")
	lines := strings.Split(strings.ReplaceAll(body, "\t", ""), "\n")
	if last := lines[len(lines)-1]; last != "counter drop" {
		t.Fatalf("chain %s ends with %q", chain, last)
	}
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(written(text, line), "return")
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines, true
}

// written puts the members of a set in the place of its name.
func written(text, line string) string {
	words := strings.Fields(line)
	for i, word := range words {
		if set, is := strings.CutPrefix(word, "@"); is {
			_, members, _ := strings.Cut(text, "set "+set+" { type ipv4_addr; elements = { ")
			members, _, _ = strings.Cut(members, " } }")
			words[i] = "{" + strings.ReplaceAll(members, ", ", ",") + "}"
		}
	}
	return strings.Join(words, " ")
}

func TestIngressIsWhatSomePolicyAllows(t *testing.T) {
	from := func(rules ...ingressRule) spec { return spec{PodSelector: *app("front"), Ingress: rules} }
	cases := map[string]struct {
		policies []*networking.NetworkPolicy
		want     []string
	}{
		"no rule lets nothing in": {
			[]*networking.NetworkPolicy{policy("a", from())}, nil,
		},
		"an empty rule lets everything in": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{}))}, []string{""},
		},
		"a podSelector means pods of the policy's namespace": {
			[]*networking.NetworkPolicy{policy("a", from(
				ingressRule{From: []peer{{PodSelector: app("chit")}}, Ports: []port{{Port: number(8000)}}},
			))},
			[]string{"ip saddr {10.244.2.3} tcp dport 8000"},
		},
		"an empty podSelector means all pods of the namespace": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{From: []peer{{PodSelector: everyPod}}}))},
			[]string{"ip saddr {10.244.1.2,10.244.2.3,10.244.2.4}"},
		},
		"a namespaceSelector means all pods of such namespaces": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{From: []peer{{
				NamespaceSelector: &meta.LabelSelector{MatchLabels: map[string]string{"team": "ops"}},
			}}}))},
			[]string{"ip saddr {10.244.2.5}"},
		},
		"both selectors mean such pods of such namespaces": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{From: []peer{
				{NamespaceSelector: everyPod, PodSelector: app("chit")},
			}}))},
			[]string{"ip saddr {10.244.2.3}"},
		},
		"peers and ports of one rule are each for each": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{
				From: []peer{
					{PodSelector: app("chit")},
					{IPBlock: &networking.IPBlock{CIDR: "192.0.2.0/24"}},
				},
				Ports: []port{{Port: number(1)}, {Port: number(2), Protocol: over(core.ProtocolUDP)}},
			}))},
			[]string{
				"ip saddr {10.244.2.3} tcp dport 1", "ip saddr 192.0.2.0/24 tcp dport 1",
				"ip saddr {10.244.2.3} udp dport 2", "ip saddr 192.0.2.0/24 udp dport 2",
			},
		},
		"a block is without its exceptions": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{From: []peer{{
				IPBlock: &networking.IPBlock{
					CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16", "10.1.2.0/24"},
				},
			}}}))},
			[]string{"ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.1.2.0/24"},
		},
		"a block of IPv6 is nobody, not everybody": {
			[]*networking.NetworkPolicy{policy("a", from(
				ingressRule{From: []peer{{IPBlock: &networking.IPBlock{CIDR: "::/0"}}}},
			))},
			nil,
		},
		"a selector that selects nobody is nobody, not everybody": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{From: []peer{{PodSelector: app("x")}}}))},
			nil,
		},
		"a range of ports, a whole protocol, SCTP": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{Ports: []port{
				{Port: number(8000), EndPort: until(8010)},
				{Protocol: over(core.ProtocolUDP)},
				{Protocol: over(core.ProtocolSCTP), Port: number(5)},
			}}))},
			[]string{"tcp dport 8000-8010", "meta l4proto udp", "sctp dport 5"},
		},
		"a named port is that of the pod itself": {
			[]*networking.NetworkPolicy{policy("a", from(ingressRule{Ports: []port{
				{Port: name("http")}, {Port: name("http"), Protocol: over(core.ProtocolUDP)}, {Port: name("x")},
			}}))},
			[]string{"tcp dport 8000"},
		},
		"policies add up": {
			[]*networking.NetworkPolicy{
				policy("b", from(ingressRule{Ports: []port{{Port: number(2)}}})),
				policy("a", from(ingressRule{Ports: []port{{Port: number(1)}}})),
			},
			[]string{"tcp dport 1", "tcp dport 2"},
		},
	}
	for id, given := range cases {
		t.Run(id, func(t *testing.T) {
			got, isolated := judged(t, cluster(given.policies...), "ingress", "10.244.1.2")
			if !isolated || !slices.Equal(got, given.want) {
				t.Errorf("isolated %v, lets in %q, want %q", isolated, got, given.want)
			}
		})
	}
}

func TestEgressIsWhatSomePolicyAllows(t *testing.T) {
	to := func(rules ...egressRule) spec {
		return spec{
			PodSelector: *app("front"),
			PolicyTypes: []networking.PolicyType{networking.PolicyTypeEgress},
			Egress:      rules,
		}
	}
	cases := map[string]struct {
		spec spec
		want []string
	}{
		"no rule lets nothing out":          {to(), nil},
		"an empty rule lets everything out": {to(egressRule{}), []string{""}},
		"a port at anybody": {
			to(egressRule{Ports: []port{{Port: number(53), Protocol: over(core.ProtocolUDP)}}}),
			[]string{"udp dport 53"},
		},
		"a named port is that of each destination": {
			to(egressRule{To: []peer{{PodSelector: everyPod}}, Ports: []port{{Port: name("http")}}}),
			[]string{"ip daddr {10.244.1.2,10.244.2.3} tcp dport 8000", "ip daddr {10.244.2.4} tcp dport 9999"},
		},
		"a named port at anybody is that of every pod that has it": {
			to(egressRule{Ports: []port{{Port: name("dns"), Protocol: over(core.ProtocolUDP)}}}),
			[]string{"ip daddr {10.244.2.3} udp dport 53"},
		},
		"a named port at a block is nowhere": {
			to(egressRule{
				To:    []peer{{IPBlock: &networking.IPBlock{CIDR: "0.0.0.0/0"}}},
				Ports: []port{{Port: name("http")}},
			}),
			nil,
		},
	}
	for id, given := range cases {
		t.Run(id, func(t *testing.T) {
			got, isolated := judged(t, cluster(policy("a", given.spec)), "egress", "10.244.1.2")
			if !isolated || !slices.Equal(got, given.want) {
				t.Errorf("isolated %v, lets out %q, want %q", isolated, got, given.want)
			}
		})
	}
}

func TestAPodIsIsolatedOnlyInTheDirectionsOfPoliciesThatSelectIt(t *testing.T) {
	both := []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress}
	rule := []egressRule{{}}
	cases := map[string]struct {
		given           *networking.NetworkPolicy
		ingress, egress bool
	}{
		"unstated types are ingress":                   {policy("a", spec{}), true, false},
		"unstated types with egress rules are both":    {policy("a", spec{Egress: rule}), true, true},
		"stated types hold":                            {policy("a", spec{PolicyTypes: both}), true, true},
		"egress alone":                                 {policy("a", spec{PolicyTypes: both[1:]}), false, true},
		"a policy for others":                          {policy("a", spec{PodSelector: *app("chit")}), false, false},
		"a policy of another namespace selects nobody": {elsewhere(policy("a", spec{})), false, false},
	}
	for id, given := range cases {
		t.Run(id, func(t *testing.T) {
			state := cluster(given.given)
			_, in := judged(t, state, "ingress", "10.244.1.2")
			_, out := judged(t, state, "egress", "10.244.1.2")
			if in != given.ingress || out != given.egress {
				t.Errorf("ingress %v, egress %v; want %v, %v", in, out, given.ingress, given.egress)
			}
		})
	}
}

func elsewhere(policy *networking.NetworkPolicy) *networking.NetworkPolicy {
	policy.Namespace = "monitoring"
	return policy
}

func TestANodeJudgesOnlyItsOwnPods(t *testing.T) {
	state := cluster(policy("a", spec{}))
	if _, isolated := judged(t, state, "ingress", "10.244.2.3"); isolated {
		t.Error("node-1 judges a pod of node-2")
	}
}

func TestTheWholeTextIsStableAndReplacesWhatWasBefore(t *testing.T) {
	given := cluster(policy("a", spec{
		PodSelector: *app("front"),
		Ingress:     []ingressRule{{From: []peer{{PodSelector: app("chit")}}}},
	}))
	given.AlwaysFrom = []netip.Addr{netip.MustParseAddr("10.200.0.1")}
	want := `add table ip network-policies
delete table ip network-policies
table ip network-policies {
	set pods-1 { type ipv4_addr; elements = { 10.244.2.3 } }
	chain ingress-1 {
		ip saddr @pods-1 return
		counter drop
	}
	map egress { type ipv4_addr : verdict; }
	map ingress { type ipv4_addr : verdict; elements = { 10.244.1.2 : jump ingress-1 } }
	set themselves { type ipv4_addr . ipv4_addr; elements = { 10.244.1.2 . 10.244.1.2 } }
	set always { type ipv4_addr; elements = { 10.200.0.1 } }
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		ip saddr @always accept
		ip saddr . ip daddr @themselves accept
		ip saddr vmap @egress
		ip daddr vmap @ingress
	}
}
`
	if got := Ruleset(here, given); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	slices.Reverse(given.Pods)
	if got := Ruleset(here, given); got != want {
		t.Errorf("in another order of pods\n%s", got)
	}
}

func TestPodsWithTheSameRulesShareAChainAndASet(t *testing.T) {
	state := cluster(policy("a", spec{Ingress: []ingressRule{{From: []peer{{PodSelector: everyPod}}}}}))
	state.Pods = append(state.Pods, pod("shop/front-2", here, "10.244.1.7"))
	text := Ruleset(here, state)
	if strings.Count(text, "chain ingress-") != 1 || strings.Count(text, "set pods-") != 1 {
		t.Error(text)
	}
}
