package s3api

import "net/http"

// settings are the documents that buckets keep.
var settings = []route{
	setting("GET", "GetBucketCors", "cors", showSetting(corsSetting, "NoSuchCORSConfiguration")),
	setting("PUT", "PutBucketCors", "cors", putCORS),
	setting("DELETE", "DeleteBucketCors", "cors", removeSetting(corsSetting)),
	setting("GET", "GetBucketTagging", "tagging", showSetting(taggingSetting, "NoSuchTagSet")),
	setting("PUT", "PutBucketTagging", "tagging", putBucketTagging),
	setting("DELETE", "DeleteBucketTagging", "tagging", removeSetting(taggingSetting)),
	setting("GET", "GetBucketPolicy", "policy", getBucketPolicy),
	setting("PUT", "PutBucketPolicy", "policy", putBucketPolicy),
	setting("DELETE", "DeleteBucketPolicy", "policy", removeSetting(policySetting)),
	setting("GET", "GetBucketPolicyStatus", "policyStatus", getPolicyStatus),
	setting("GET", "GetPublicAccessBlock", "publicAccessBlock", getPublicBlock),
	setting("PUT", "PutPublicAccessBlock", "publicAccessBlock", putPublicBlock),
	setting("DELETE", "DeletePublicAccessBlock", "publicAccessBlock", deletePublicBlock),
}

// notConfigured are the settings of buckets that cannot be changed; each is
// answered as S3 answers for a bucket that nobody has configured.
var notConfigured = []route{
	setting("GET", "GetBucketAcl", "acl", func(c *call) error { return c.show(c.ownerACL()) }),
	setting("PUT", "PutBucketAcl", "acl", putACL),
	setting("GET", "GetBucketVersioning", "versioning", empty("VersioningConfiguration")),
	setting("GET", "GetBucketRequestPayment", "requestPayment", func(c *call) error {
		return c.show(nested("BucketOwner", "RequestPaymentConfiguration", "Payer"))
	}),
	setting("GET", "GetBucketOwnershipControls", "ownershipControls", func(c *call) error {
		return c.show(nested("BucketOwnerEnforced", "OwnershipControls", "Rule", "ObjectOwnership"))
	}),
	setting("GET", "GetBucketEncryption", "encryption", func(c *call) error {
		return c.show(nested("AES256", "ServerSideEncryptionConfiguration", "Rule", "ApplyServerSideEncryptionByDefault", "SSEAlgorithm"))
	}),
	setting("GET", "GetBucketLogging", "logging", empty("BucketLoggingStatus")),
	setting("GET", "GetBucketNotificationConfiguration", "notification", empty("NotificationConfiguration")),
	setting("GET", "GetBucketAccelerateConfiguration", "accelerate", empty("AccelerateConfiguration")),
	setting("GET", "GetBucketLifecycleConfiguration", "lifecycle", absent("NoSuchLifecycleConfiguration")),
	setting("GET", "GetBucketWebsite", "website", absent("NoSuchWebsiteConfiguration")),
	setting("GET", "GetBucketReplication", "replication", absent("ReplicationConfigurationNotFoundError")),
	setting("GET", "GetObjectLockConfiguration", "object-lock", absent("ObjectLockConfigurationNotFoundError")),
	setting("DELETE", "DeleteBucketLifecycle", "lifecycle", gone),
	setting("DELETE", "DeleteBucketWebsite", "website", gone),
	setting("DELETE", "DeleteBucketReplication", "replication", gone),
}

// settingActions are those that are not called like the operation.
var settingActions = map[string]string{
	"GetBucketCors":                      "s3:GetBucketCORS",
	"PutBucketCors":                      "s3:PutBucketCORS",
	"DeleteBucketCors":                   "s3:PutBucketCORS",
	"DeleteBucketTagging":                "s3:PutBucketTagging",
	"GetPublicAccessBlock":               "s3:GetBucketPublicAccessBlock",
	"PutPublicAccessBlock":               "s3:PutBucketPublicAccessBlock",
	"DeletePublicAccessBlock":            "s3:PutBucketPublicAccessBlock",
	"GetBucketEncryption":                "s3:GetEncryptionConfiguration",
	"GetBucketNotificationConfiguration": "s3:GetBucketNotification",
	"GetBucketAccelerateConfiguration":   "s3:GetAccelerateConfiguration",
	"GetBucketLifecycleConfiguration":    "s3:GetLifecycleConfiguration",
	"DeleteBucketLifecycle":              "s3:PutLifecycleConfiguration",
	"GetBucketReplication":               "s3:GetReplicationConfiguration",
	"DeleteBucketReplication":            "s3:PutReplicationConfiguration",
	"GetObjectLockConfiguration":         "s3:GetBucketObjectLockConfiguration",
}

// setting is a route about a bucket that must be there.
func setting(method, operation, query string, serve func(*call) error) route {
	b := noBody
	if method == http.MethodPut {
		b = document
	}
	action := settingActions[operation]
	if action == "" {
		action = "s3:" + operation
	}
	return route{operation: operation, action: action, method: method, level: bucketLevel, query: query, body: b,
		serve: func(c *call) error {
			if _, err := c.cfg.Store.HeadBucket(c.ctx(), c.bucket); err != nil {
				return err
			}
			return serve(c)
		}}
}

func (c *call) show(x *xmlWriter) error {
	c.sendXML(http.StatusOK, x)
	return nil
}

func empty(root string) func(*call) error {
	return func(c *call) error { return c.show(nested("", root)) }
}

func absent(code string) func(*call) error {
	return func(*call) error { return fail(code) }
}

// gone answers the deletion of a setting, which succeeds when there is none.
func gone(c *call) error {
	c.done(http.StatusNoContent)
	return nil
}

// nested writes a text inside elements inside each other.
func nested(text string, path ...string) *xmlWriter {
	x := newXML()
	x.open(path[0])
	for _, name := range path[1:] {
		x.openPlain(name)
	}
	x.escape(text)
	for i := len(path) - 1; i >= 0; i-- {
		x.close(path[i])
	}
	return x
}

// ownerACL says that the owner may do everything and nobody else anything.
func (c *call) ownerACL() *xmlWriter {
	x := newXML()
	x.open("AccessControlPolicy")
	c.owner(x, "Owner")
	x.openPlain("AccessControlList")
	x.openPlain("Grant")
	x.b.WriteString(`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`)
	x.elem("ID", c.cfg.OwnerID)
	x.elem("DisplayName", c.cfg.OwnerName)
	x.close("Grantee")
	x.elem("Permission", "FULL_CONTROL")
	x.close("Grant")
	x.close("AccessControlList")
	x.close("AccessControlPolicy")
	return x
}

// putACL accepts the ACLs that say what is so already, as s3cmd gives back the
// one it got: admit has refused the canned ones that say something else.
func putACL(c *call) error {
	data, _, err := c.readDocument(maxXML)
	if err != nil {
		return err
	}
	if canned := c.r.Header.Get("X-Amz-Acl") != ""; canned == (len(data) > 0) || !canned && !c.grantsOwnerOnly(data) {
		return fail("AccessControlListNotSupported")
	}
	if c.key != "" {
		if _, err := c.look(); err != nil {
			return err
		}
	}
	c.done(http.StatusOK)
	return nil
}

// grantsOwnerOnly reports whether an ACL gives the owner everything and nobody
// else anything.
func (c *call) grantsOwnerOnly(document []byte) bool {
	policy, err := parseXML(document, "AccessControlPolicy")
	if err != nil {
		return false
	}
	grants := 0
	for _, list := range policy.kids {
		if list.name == "Owner" {
			continue
		}
		for _, grant := range list.kids {
			grants++
			permission, _, err := grant.child("Permission")
			if err != nil || list.name != "AccessControlList" || grant.name != "Grant" || permission != "FULL_CONTROL" || !c.granteeIsOwner(grant) {
				return false
			}
		}
	}
	return grants > 0
}

func (c *call) granteeIsOwner(grant *element) bool {
	grantees := 0
	for _, k := range grant.kids {
		if k.name != "Grantee" {
			continue
		}
		grantees++
		if id, _, err := k.child("ID"); err != nil || id != c.cfg.OwnerID {
			return false
		}
	}
	return grantees == 1
}
