package sdk

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strconv"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	v4 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsrepo/v4"
	modelv4 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsrepo/v4/model"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsrepo/v3/model"
)

// sshKey makes a key: its public half as a line of authorized_keys, its private
// one as PKCS #8.
func (s *session) sshKey() (public, private string) {
	s.Helper()
	half, key, err := ed25519.GenerateKey(rand.Reader)
	must(s.T, "a key", err)
	const algorithm = "ssh-ed25519"
	wire := "\x00\x00\x00\x0b" + algorithm + "\x00\x00\x00\x20" + string(half)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(s.T, "a key", err)
	return algorithm + " " + base64.StdEncoding.EncodeToString([]byte(wire)), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// keys makes and deletes the keys of the caller and of the repository.
func (s *session) keys() {
	public, private := s.sshKey()
	made, err := s.c.AddSshKey(&model.AddSshKeyRequest{Body: &model.AddSshKeyRequestBody{Key: public, Title: "laptop"}})
	must(s.T, "AddSshKey", err)
	if made.Result.Key != public || made.Result.Title != "laptop" || strings.Trim(made.Result.Id, "0123456789") != "" {
		s.Errorf("AddSshKey: got %v", made)
	}
	for code, body := range map[string]model.AddSshKeyRequestBody{"40": {Key: "ssh-rsa x", Title: "t"}, "CH.080002": {Key: public, Title: "other"}} {
		_, err = s.c.AddSshKey(&model.AddSshKeyRequest{Body: &body})
		refused(s.T, "AddSshKey of "+body.Title, err, 400, code)
	}
	verify := func(key string) error {
		_, err := s.c.ShowPrivateKeyVerify(&model.ShowPrivateKeyVerifyRequest{Body: &model.PrivateKeyVerify{RepositoryUuid: s.uuid, PrivateKey: key}})
		return err
	}
	must(s.T, "ShowPrivateKeyVerify", verify(private))
	_, stranger := s.sshKey()
	refused(s.T, "ShowPrivateKeyVerify of a stranger", verify(stranger), 400, "40")
	list, err := s.c.ListSshKeys(&model.ListSshKeysRequest{})
	must(s.T, "ListSshKeys", err)
	if *list.Result.Total != 1 || (*list.Result.Sshkey)[0] != *made.Result {
		s.Errorf("ListSshKeys: got %v", list)
	}
	_, err = s.c.DeleteSShkey(&model.DeleteSShkeyRequest{Id: made.Result.Id})
	must(s.T, "DeleteSShkey", err)
	_, err = s.c.DeleteSShkey(&model.DeleteSShkeyRequest{Id: made.Result.Id})
	refused(s.T, "DeleteSShkey again", err, 404, "CH.000404")
	refused(s.T, "ShowPrivateKeyVerify of a key that is gone", verify(private), 400, "40")
	s.deployKeys(public)
}

func (s *session) deployKeys(public string) {
	body := &model.AddDeployKeyRequestBody{Application: "codearts", CanPush: true, Key: public, KeyTitle: "ci"}
	made, err := s.c.AddDeployKeyV2(&model.AddDeployKeyV2Request{RepositoryId: s.id, Body: body})
	must(s.T, "AddDeployKeyV2", err)
	if *made.Result.Key != public || *made.Result.KeyTitle != "ci" || !*made.Result.CanPush || *made.Result.CreatedAt == "" {
		s.Errorf("AddDeployKeyV2: got %v", made)
	}
	_, err = s.c.AddDeployKey(&model.AddDeployKeyRequest{RepositoryId: s.id, Body: body})
	refused(s.T, "AddDeployKey of the same", err, 400, "CH.080002")
	id, err := strconv.Atoi(*made.Result.KeyId)
	must(s.T, "key_id", err)
	gone, err := s.c.DeleteDeployKeyV2(&model.DeleteDeployKeyV2Request{RepositoryId: s.id, KeyId: int32(id)})
	must(s.T, "DeleteDeployKeyV2", err)
	equal(s.T, "DeleteDeployKeyV2", *gone.Status, "success")
	old, err := s.c.AddDeployKey(&model.AddDeployKeyRequest{RepositoryId: s.id, Body: body})
	must(s.T, "AddDeployKey", err)
	if id, err = strconv.Atoi(*old.Result.KeyId); err != nil {
		s.Fatal(err)
	}
	_, err = s.c.DeleteDeployKey(&model.DeleteDeployKeyRequest{RepositoryId: s.id, KeyId: int32(id)})
	must(s.T, "DeleteDeployKey", err)
	_, err = s.c.DeleteDeployKey(&model.DeleteDeployKeyRequest{RepositoryId: s.id, KeyId: int32(id)})
	refused(s.T, "DeleteDeployKey again", err, 404, "CH.000404")
}

// keysV4 does the same through the newer interface.
func (s *session) keysV4() {
	auth, err := basic.NewCredentialsBuilder().WithAk(accessKey).WithSk(secretKey).SafeBuild()
	must(s.T, "credentials", err)
	h, err := v4.CodeArtsRepoClientBuilder().WithEndpoint(server).WithCredential(auth).SafeBuild()
	must(s.T, "client", err)
	c := v4.NewCodeArtsRepoClient(h)
	public, _ := s.sshKey()
	made, err := c.AddSshKey(&modelv4.AddSshKeyRequest{Body: &modelv4.DeployKeyParamsDto{Title: p("laptop"), Key: &public}})
	must(s.T, "v4 AddSshKey", err)
	list, err := c.ListUserKeys(&modelv4.ListUserKeysRequest{Query: p("LAP"), Limit: p[int32](10)})
	must(s.T, "v4 ListUserKeys", err)
	if *list.Total != 1 || *(*list.Keys)[0].Id != *made.Id || *(*list.Keys)[0].Key != public {
		s.Errorf("v4 ListUserKeys: got %v", list)
	}
	_, err = c.DeleteSshKey(&modelv4.DeleteSshKeyRequest{KeyId: *made.Id})
	must(s.T, "v4 DeleteSshKey", err)
	_, err = c.DeleteSshKey(&modelv4.DeleteSshKeyRequest{KeyId: *made.Id})
	refused(s.T, "v4 DeleteSshKey again", err, 404, "CH.000404")

	_, err = s.c.AddDeployKeyV2(&model.AddDeployKeyV2Request{RepositoryId: s.id, Body: &model.AddDeployKeyRequestBody{Application: "x", Key: public, KeyTitle: "ci"}})
	must(s.T, "AddDeployKeyV2", err)
	deploy, err := c.ListRepositoryDeployKeys(&modelv4.ListRepositoryDeployKeysRequest{RepositoryId: s.id})
	must(s.T, "v4 ListRepositoryDeployKeys", err)
	if len(*deploy.Body) != 1 || *(*deploy.Body)[0].Title != "ci" || *deploy.XTotal != "1" {
		s.Fatalf("v4 ListRepositoryDeployKeys: got %v", deploy)
	}
	_, err = c.RemoveDeployKey(&modelv4.RemoveDeployKeyRequest{RepositoryId: s.id, KeyId: *(*deploy.Body)[0].Id})
	must(s.T, "v4 RemoveDeployKey", err)
}
