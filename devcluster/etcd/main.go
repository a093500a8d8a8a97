// Command etcd is the cluster's store, built from its Go module.
// It has a module of its own because its client version differs from CoreDNS's.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
