package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Table is the name of the nftables table that is the enforcer's own.
const Table = "network-policies"

// direction is one of the two ways that a policy can isolate a pod: which address of a packet is
// the pod's, and which that of the other end.
type direction struct {
	name string
	kind networking.PolicyType
	own  string
	peer string
}

var directions = []direction{
	{"egress", networking.PolicyTypeEgress, "saddr", "daddr"},
	{"ingress", networking.PolicyTypeIngress, "daddr", "saddr"},
}

// rule is one entry of a policy's `ingress` or `egress`; both have the same shape.
type rule struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

// Ruleset returns what `nft -f` reads to enforce the policies for the pods of one node. Loading
// it replaces the rules before it in one step. Equal states give equal texts.
//
// A new connection passes the chain of the pod that opens it, then of the pod that it is for, if
// these are on this node and isolated. In a pod's chain `return` is "let through"; what no rule
// returns is dropped. Services are no matter here: their addresses were replaced before.
func Ruleset(node string, state State) string {
	b := &builder{state: state, sets: map[string]string{}, chains: map[string]string{}}
	b.group()
	maps := map[string][]string{}
	var themselves []string
	for _, pod := range sorted(state.Pods) {
		if pod.Node != node {
			continue
		}
		own := addresses([]Pod{pod})
		for _, direction := range directions {
			chain, isolated := b.chain(pod, direction)
			for _, address := range own {
				if isolated {
					element := fmt.Sprintf("%s : jump %s", address, chain)
					maps[direction.name] = append(maps[direction.name], element)
				}
			}
		}
		for _, address := range own {
			themselves = append(themselves, fmt.Sprintf("%s . %s", address, address))
		}
	}
	return b.text(maps, themselves)
}

func sorted(pods []Pod) []Pod {
	return slices.SortedFunc(slices.Values(pods), func(a, b Pod) int {
		return cmp.Or(
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.UID, b.UID))
	})
}

// builder collects sets and chains. Pods with the same rules share a chain, and rules with the
// same peers a set: a system of many replicas costs little more than one of one.
type builder struct {
	state    State
	policies map[string][]*networking.NetworkPolicy
	sets     map[string]string // elements -> name
	chains   map[string]string // rules -> name
	written  []string          // sets and chains, each before its first use
}

func (b *builder) group() {
	b.policies = map[string][]*networking.NetworkPolicy{}
	for _, each := range b.state.Policies {
		b.policies[each.Namespace] = append(b.policies[each.Namespace], each)
	}
	for _, all := range b.policies {
		slices.SortFunc(all, func(x, y *networking.NetworkPolicy) int {
			return cmp.Compare(x.Name, y.Name)
		})
	}
}

// chain returns the chain that judges a pod's connections in one direction, and false where no
// policy isolates it.
func (b *builder) chain(pod Pod, towards direction) (string, bool) {
	isolated := false
	var lines []string
	for _, policy := range b.policies[pod.Namespace] {
		if !selector(&policy.Spec.PodSelector).Matches(pod.Labels) || !isolates(policy, towards) {
			continue
		}
		isolated = true
		for _, rule := range rules(policy, towards) {
			lines = append(lines, b.allow(pod, policy.Namespace, rule, towards)...)
		}
	}
	if !isolated {
		return "", false
	}
	lines = append(lines, "counter drop")
	return b.named(b.chains, towards.name, "chain %s {\n\t\t%s\n\t}", strings.Join(lines, "\n\t\t")), true
}

// isolates also decides for objects that the apiserver has not filled in: a policy is always
// about ingress, and about egress if it has such rules.
func isolates(policy *networking.NetworkPolicy, towards direction) bool {
	if len(policy.Spec.PolicyTypes) > 0 {
		return slices.Contains(policy.Spec.PolicyTypes, towards.kind)
	}
	return towards.kind == networking.PolicyTypeIngress || len(policy.Spec.Egress) > 0
}

func rules(policy *networking.NetworkPolicy, towards direction) []rule {
	var found []rule
	if towards.kind == networking.PolicyTypeIngress {
		for _, each := range policy.Spec.Ingress {
			found = append(found, rule{each.From, each.Ports})
		}
		return found
	}
	for _, each := range policy.Spec.Egress {
		found = append(found, rule{each.To, each.Ports})
	}
	return found
}

// allow returns one line for each pair of peers and port that the rule lets through.
func (b *builder) allow(pod Pod, namespace string, of rule, towards direction) []string {
	ends := b.state.peers(namespace, of.peers)
	if len(of.ports) == 0 {
		return b.lines(ends, towards, "")
	}
	var lines []string
	for _, port := range of.ports {
		protocol := core.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if port.Port != nil && port.Port.Type == intstr.String {
			lines = append(lines, b.byName(pod, ends, port.Port.StrVal, protocol, towards)...)
			continue
		}
		lines = append(lines, b.lines(ends, towards, numbered(port, protocol))...)
	}
	return lines
}

// byName looks a named port up where it is served: at the pod itself for ingress, and for egress
// at each of the other ends, of which only pods have names for ports.
func (b *builder) byName(
	pod Pod, ends peers, name string, protocol core.Protocol, towards direction,
) []string {
	if towards.kind == networking.PolicyTypeIngress {
		number, known := pod.port(name, protocol)
		if !known {
			return nil
		}
		return b.lines(ends, towards, destination(protocol, fmt.Sprint(number)))
	}
	servers := map[int32][]Pod{}
	for _, end := range ends.pods {
		if number, known := end.port(name, protocol); known {
			servers[number] = append(servers[number], end)
		}
	}
	var lines []string
	for _, number := range sortedKeys(servers) {
		port := destination(protocol, fmt.Sprint(number))
		lines = append(lines, b.lines(peers{pods: servers[number]}, towards, port)...)
	}
	return lines
}

func sortedKeys(of map[int32][]Pod) []int32 {
	var keys []int32
	for key := range of {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func numbered(port networking.NetworkPolicyPort, protocol core.Protocol) string {
	if port.Port == nil {
		return "meta l4proto " + strings.ToLower(string(protocol))
	}
	if port.EndPort != nil && *port.EndPort != port.Port.IntVal {
		return destination(protocol, fmt.Sprintf("%d-%d", port.Port.IntVal, *port.EndPort))
	}
	return destination(protocol, fmt.Sprint(port.Port.IntVal))
}

func destination(protocol core.Protocol, port string) string {
	return fmt.Sprintf("%s dport %s", strings.ToLower(string(protocol)), port)
}

func (b *builder) lines(ends peers, towards direction, port string) []string {
	if ends.anyone {
		return []string{line(port, "return")}
	}
	var lines []string
	if members := addresses(ends.pods); len(members) > 0 {
		lines = append(lines, line("ip", towards.peer, "@"+b.set(members), port, "return"))
	}
	for _, block := range ends.blocks {
		if match := matching(block, towards); match != "" {
			lines = append(lines, line(match, port, "return"))
		}
	}
	return lines
}

// line joins what is not empty.
func line(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " ")
}

// matching returns the match of a block and its exceptions, "" for one of IPv6: pods have none.
func matching(block networking.IPBlock, towards direction) string {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !whole.Addr().Is4() {
		return ""
	}
	match := fmt.Sprintf("ip %s %s", towards.peer, whole.Masked())
	for _, each := range block.Except {
		if except, err := netip.ParsePrefix(each); err == nil && except.Addr().Is4() {
			match += fmt.Sprintf(" ip %s != %s", towards.peer, except.Masked())
		}
	}
	return match
}

func (b *builder) set(members []netip.Addr) string {
	var elements []string
	for _, member := range members {
		elements = append(elements, member.String())
	}
	return b.named(b.sets, "pods", "set %s { type ipv4_addr; elements = { %s } }", strings.Join(elements, ", "))
}

// named returns the name that this content has, and gives it one and writes it the first time.
func (b *builder) named(known map[string]string, kind, format, content string) string {
	key := kind + " " + content
	if name, is := known[key]; is {
		return name
	}
	name := fmt.Sprintf("%s-%d", kind, len(known)+1)
	known[key] = name
	b.written = append(b.written, fmt.Sprintf(format, name, content))
	return name
}

func (b *builder) text(maps map[string][]string, themselves []string) string {
	var always []string
	for _, address := range b.state.AlwaysFrom {
		always = append(always, address.String())
	}
	parts := append(b.written,
		collection("map", "egress", "ipv4_addr : verdict", maps["egress"]),
		collection("map", "ingress", "ipv4_addr : verdict", maps["ingress"]),
		collection("set", "themselves", "ipv4_addr . ipv4_addr", themselves),
		collection("set", "always", "ipv4_addr", always),
		forward)
	// added first, so that there is one to delete; nft does all of it or nothing
	return fmt.Sprintf("add table ip %s\ndelete table ip %s\ntable ip %s {\n\t%s\n}\n",
		Table, Table, Table, strings.Join(parts, "\n\t"))
}

// forward sees what passes between pods and everything but their own node. Packets of a known
// connection were judged when it began; a pod reaches itself whatever policies say.
const forward = `chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		ip saddr @always accept
		ip saddr . ip daddr @themselves accept
		ip saddr vmap @egress
		ip daddr vmap @ingress
	}`

func collection(kind, name, of string, elements []string) string {
	if len(elements) == 0 {
		return fmt.Sprintf("%s %s { type %s; }", kind, name, of)
	}
	return fmt.Sprintf("%s %s { type %s; elements = { %s } }",
		kind, name, of, strings.Join(elements, ", "))
}
