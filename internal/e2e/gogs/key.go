package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"

	gogs "github.com/gogs/go-gogs-client"
)

// newSSHKey makes a key as a line of authorized_keys.
func newSSHKey() string {
	half, _, err := ed25519.GenerateKey(rand.Reader)
	expect("a key", err, true)
	wire := "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + string(half)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte(wire))
}

// keys makes and deletes SSH keys of users and of the repository Ada/Site.
func keys(root, ada, bob *gogs.Client) {
	key, other, deployed := newSSHKey(), newSSHKey(), newSSHKey()
	made, err := ada.CreatePublicKey(gogs.CreateKeyOption{Title: "laptop", Key: key})
	expect("CreatePublicKey", err, made.ID > 0 && made.Key == key && made.Title == "laptop" && made.URL != "" && !made.Created.IsZero(), made)
	_, err = bob.CreatePublicKey(gogs.CreateKeyOption{Title: "laptop", Key: key})
	refused("CreatePublicKey of another's", err, "Key content has been used")
	_, err = bob.CreatePublicKey(gogs.CreateKeyOption{Title: "laptop", Key: "ssh-rsa x"})
	refused("CreatePublicKey of no key", err, "Invalid key content")
	_, err = ada.CreatePublicKey(gogs.CreateKeyOption{Title: "laptop", Key: other})
	refused("CreatePublicKey of a title twice", err, "Key title has been used")
	_, err = root.AdminCreateUserPublicKey("bob", gogs.CreateKeyOption{Title: "by root", Key: other})
	expect("AdminCreateUserPublicKey", err, true)
	mine, err := bob.ListMyPublicKeys()
	expect("ListMyPublicKeys", err, len(mine) == 1 && mine[0].Key == other, mine)
	mine, err = ada.ListPublicKeys("ada")
	expect("ListPublicKeys", err, len(mine) == 1 && mine[0].ID == made.ID, mine)
	_, err = bob.ListPublicKeys("ada")
	refused("ListPublicKeys of another", err, "403")
	found, err := ada.GetPublicKey(made.ID)
	expect("GetPublicKey", err, found.Key == key, found)
	_, err = bob.GetPublicKey(made.ID)
	refused("GetPublicKey of another", err, "404")
	refused("DeletePublicKey of another", bob.DeletePublicKey(made.ID), "403")
	expect("DeletePublicKey", ada.DeletePublicKey(made.ID), true)
	refused("DeletePublicKey again", ada.DeletePublicKey(made.ID), "404")

	deploy, err := ada.CreateDeployKey("ada", "site", gogs.CreateKeyOption{Title: "ci", Key: deployed})
	expect("CreateDeployKey", err, deploy.ID > 0 && deploy.Key == deployed && deploy.ReadOnly, deploy)
	_, err = ada.CreateDeployKey("ada", "site", gogs.CreateKeyOption{Title: "again", Key: deployed})
	refused("CreateDeployKey again", err, "Key content has been used")
	list, err := ada.ListDeployKeys("ada", "site")
	expect("ListDeployKeys", err, len(list) == 1 && list[0].ID == deploy.ID && list[0].Title == "ci", list)
	deploy, err = ada.GetDeployKey("ada", "site", deploy.ID)
	expect("GetDeployKey", err, deploy.Key == deployed, deploy)
	_, err = bob.ListDeployKeys("ada", "site")
	refused("ListDeployKeys of another", err, "404")
	expect("DeleteDeployKey", ada.DeleteDeployKey("ada", "site", deploy.ID), true)
	_, err = ada.GetDeployKey("ada", "site", deploy.ID)
	refused("GetDeployKey of what is gone", err, "404")
}
