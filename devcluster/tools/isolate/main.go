// Command isolate is the CNI plugin that keeps a pod from starting before its NetworkPolicies
// are enforced. It comes last in the list: it notes which pod has which address, which it knows
// before the apiserver does, and waits for the enforcer's word that the node's rules have it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// a node's first pods are faster than its enforcer; the kubelet tries again after an error
	limit = 10 * time.Second
	poll  = 20 * time.Millisecond
	// of the CNI specification
	tryAgainLater = 11
)

// configuration is this plugin's part of the list, with what the plugins before it did.
type configuration struct {
	Version   string          `json:"cniVersion"`
	Directory string          `json:"directory"`
	Previous  json.RawMessage `json:"prevResult"`
}

type result struct {
	IPs []struct {
		Address netip.Prefix `json:"address"`
	} `json:"ips"`
}

func main() {
	if os.Getenv("CNI_COMMAND") == "VERSION" {
		fmt.Println(`{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}`)
		return
	}
	var config configuration
	err := json.NewDecoder(os.Stdin).Decode(&config)
	if err == nil {
		err = run(config)
	}
	if err != nil {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
			"cniVersion": config.Version, "code": tryAgainLater, "msg": "isolate: " + err.Error(),
		})
		os.Exit(1)
	}
}

func run(config configuration) error {
	sandbox := filepath.Base(os.Getenv("CNI_CONTAINERID"))
	claim := filepath.Join(config.Directory, "claims", sandbox+".json")
	switch os.Getenv("CNI_COMMAND") {
	case "ADD":
		if err := add(config, claim); err != nil {
			return err
		}
		// the last plugin's result is that of the list
		_, err := os.Stdout.Write(config.Previous)
		return err
	case "DEL":
		if err := os.Remove(claim); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func add(config configuration, claim string) error {
	var before result
	if err := json.Unmarshal(config.Previous, &before); err != nil {
		return fmt.Errorf("result of the plugin before: %w", err)
	}
	if len(before.IPs) == 0 {
		return errors.New("the plugin before gave no address")
	}
	uid := argument("K8S_POD_UID")
	written, err := json.Marshal(map[string]any{
		"uid": uid, "address": before.IPs[0].Address.Addr(),
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(claim), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(claim+".part", written, 0o600); err != nil {
		return err
	}
	if err := os.Rename(claim+".part", claim); err != nil {
		return err
	}
	return wait(filepath.Join(config.Directory, "socket"), uid)
}

// argument returns one of `IgnoreUnknown=1;K8S_POD_NAME=...`.
func argument(name string) string {
	for _, each := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		if key, value, _ := strings.Cut(each, "="); key == name {
			return value
		}
	}
	return ""
}

func wait(socket, uid string) error {
	end := time.Now().Add(limit)
	for {
		said, err := ask(socket, uid, end)
		if err == nil && said == "ok" {
			return nil
		}
		if err == nil {
			return errors.New(said)
		}
		if time.Now().After(end) {
			return fmt.Errorf("no word from the enforcer of NetworkPolicies: %w", err)
		}
		time.Sleep(poll)
	}
}

func ask(socket, uid string, end time.Time) (string, error) {
	connection, err := net.DialTimeout("unix", socket, time.Until(end))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(end); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(connection, uid); err != nil {
		return "", err
	}
	answer := bufio.NewScanner(connection)
	if !answer.Scan() {
		return "", errors.Join(answer.Err(), io.ErrUnexpectedEOF)
	}
	return answer.Text(), nil
}
