package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"agentsystem.dev/devcluster/policy"
)

// A pod that was just given an address asks, before its containers start, and is kept waiting
// until the rules know it. The plugin that asks (tools/isolate) gives up a little later.
const waitLimit = 8 * time.Second

// readClaims returns what the CNI plugin wrote about addresses, one file per sandbox, the older
// first. Files come and go while they are read.
func readClaims(directory string) ([]policy.Claim, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	type dated struct {
		policy.Claim
		at time.Time
	}
	var found []dated
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".json" {
			continue // not written to its end yet
		}
		claim, at, err := readClaim(filepath.Join(directory, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, dated{claim, at})
	}
	slices.SortStableFunc(found, func(a, b dated) int { return a.at.Compare(b.at) })
	claims := make([]policy.Claim, 0, len(found))
	for _, each := range found {
		claims = append(claims, each.Claim)
	}
	return claims, nil
}

func readClaim(path string) (policy.Claim, time.Time, error) {
	var claim policy.Claim
	info, err := os.Stat(path)
	if err != nil {
		return claim, time.Time{}, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return claim, time.Time{}, err
	}
	if err := json.Unmarshal(raw, &claim); err != nil {
		return claim, time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	return claim, info.ModTime(), nil
}

// waiting are those who want to hear that the rules know their pod.
type waiting struct {
	mutex   sync.Mutex
	waiters map[*waiter]struct{}
}

type waiter struct {
	uid  types.UID
	done chan struct{}
}

func (w *waiting) add(uid types.UID) *waiter {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.waiters == nil {
		w.waiters = map[*waiter]struct{}{}
	}
	one := &waiter{uid, make(chan struct{})}
	w.waiters[one] = struct{}{}
	return one
}

func (w *waiting) all() []*waiter {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	all := make([]*waiter, 0, len(w.waiters))
	for one := range w.waiters {
		all = append(all, one)
	}
	return all
}

func (w *waiting) remove(one *waiter) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.waiters, one)
}

// answer tells those whose pod is known with an address.
func (w *waiting) answer(waiters []*waiter, pods []policy.Pod) {
	if len(waiters) == 0 {
		return
	}
	known := map[types.UID]bool{}
	for _, pod := range pods {
		known[pod.UID] = len(pod.Addresses) > 0
	}
	for _, one := range waiters {
		if known[one.uid] {
			w.remove(one)
			close(one.done)
		}
	}
}

// serve answers on a socket: a line with a pod's UID in, "ok" or a reason out.
func (e *enforcer) serve(ctx context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() { <-ctx.Done(); listener.Close() }()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go e.converse(ctx, connection)
		}
	}()
	return nil
}

func (e *enforcer) converse(ctx context.Context, connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(waitLimit + time.Second))
	asked := bufio.NewScanner(connection)
	if !asked.Scan() {
		return
	}
	one := e.waiting.add(types.UID(asked.Text()))
	defer e.waiting.remove(one)
	e.notice()
	said := "ok"
	select {
	case <-one.done:
	case <-ctx.Done():
		return
	case <-time.After(waitLimit):
		said = "the apiserver has not told of this pod"
		klog.InfoS("A pod was kept from starting", "uid", one.uid, "why", said)
	}
	_, _ = fmt.Fprintln(connection, said)
}
