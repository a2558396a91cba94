"""Checks with boto3: boto3_checks.py FUNCTION ENDPOINT BUCKET.

Credentials, region and CA come from the environment. A check that fails raises;
the Go side looks at what is in the bucket afterwards.
"""

import base64
import hashlib
import io
import json
import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

ENDPOINT, BUCKET = sys.argv[2], sys.argv[3]


def client(style="path"):
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        config=Config(s3={"addressing_style": style}, retries={"max_attempts": 1}, signature_version="s3v4"),
    )


s3 = client()


def equal(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r:.200}, want {want!r:.200}")


def refused(code, call, **arguments):
    try:
        call(Bucket=BUCKET, **arguments)
    except ClientError as error:
        equal("code", error.response["Error"]["Code"], code)
        return
    raise AssertionError(f"{call.__name__} succeeded, want {code}")


def put(key, body, **more):
    return s3.put_object(Bucket=BUCKET, Key=key, Body=body, **more)


def get(key, **more):
    return s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()


class Unseekable(io.RawIOBase):
    """A stream that can be read once, such as a pipe."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, size=-1):
        return self.inner.read(size)


def sizes():
    for name in os.listdir("up"):
        path = os.path.join("up", name)
        s3.upload_file(path, BUCKET, "file/" + name)
        s3.download_file(BUCKET, "file/" + name, os.path.join("down", name))
        with open(path, "rb") as file:
            put("put/" + name, file)
        with open(path, "rb") as file:
            s3.upload_fileobj(Unseekable(file.read()), BUCKET, "stream/" + name)


def names_put():
    with open("names.json", encoding="utf-8") as file:
        names = json.load(file)
    for name in names:
        body = ("content of " + name).encode()
        put(name, body)
        equal(name, get(name), body)
        equal(name, s3.head_object(Bucket=BUCKET, Key=name)["ContentLength"], len(body))
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    equal("listing", listed, sorted(names, key=lambda name: name.encode()))


def names_delete():
    with open("names.json", encoding="utf-8") as file:
        names = json.load(file)
    for name in names[::2]:
        s3.delete_object(Bucket=BUCKET, Key=name)
    out = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": name} for name in names[1::2]]})
    equal("errors", out.get("Errors"), None)
    equal("deleted", sorted(d["Key"] for d in out["Deleted"]), sorted(names[1::2]))


def metadata():
    given = {"Colour": "blue", "mixed-Case": "a: b, c"}
    put("k", b"x", Metadata=given, ContentType="text/x-cairn", CacheControl="no-store", ContentDisposition='attachment; filename="a b"')
    source = {"Bucket": BUCKET, "Key": "k"}
    s3.copy_object(Bucket=BUCKET, Key="copy ä+", CopySource=source)
    for key in ("k", "copy ä+"):
        head = s3.head_object(Bucket=BUCKET, Key=key)
        equal(key, head["Metadata"], {"colour": "blue", "mixed-case": "a: b, c"})
        equal(key, (head["ContentType"], head["CacheControl"]), ("text/x-cairn", "no-store"))
        equal(key, head["ContentDisposition"], 'attachment; filename="a b"')
    s3.copy_object(Bucket=BUCKET, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"})
    equal("replaced", s3.head_object(Bucket=BUCKET, Key="k")["Metadata"], {"new": "1"})
    refused("InvalidRequest", s3.copy_object, Key="k", CopySource=source)
    big = os.urandom(17 << 20)
    put("big ä+%", big)
    s3.copy({"Bucket": BUCKET, "Key": "big ä+%"}, BUCKET, "big copy", Config=TransferConfig(multipart_threshold=8 << 20))
    equal("big copy", hashlib.sha256(get("big copy")).digest(), hashlib.sha256(big).digest())


def ranges():
    data = os.urandom(200_000)
    put("k", data)
    equal("range", get("k", Range="bytes=65519-65521"), data[65519:65522])
    equal("suffix", get("k", Range="bytes=-10"), data[-10:])
    equal("open end", get("k", Range="bytes=199990-"), data[199990:])
    refused("InvalidRange", s3.get_object, Key="k", Range="bytes=200000-")
    etag = s3.head_object(Bucket=BUCKET, Key="k")["ETag"]
    equal("If-Match", get("k", IfMatch=etag), data)
    refused("PreconditionFailed", s3.get_object, Key="k", IfMatch='"0"')
    refused("304", s3.get_object, Key="k", IfNoneMatch=etag)


def conditional_writes():
    def conditional(name, value):
        one = client()
        one.meta.events.register("before-sign.s3.PutObject", lambda request, **_: request.headers.add_header(name, value))
        return one.put_object

    create = conditional("If-None-Match", "*")
    create(Bucket=BUCKET, Key="k", Body=b"first")
    refused("PreconditionFailed", create, Key="k", Body=b"second")
    etag = s3.head_object(Bucket=BUCKET, Key="k")["ETag"]
    replace = conditional("If-Match", etag)
    replace(Bucket=BUCKET, Key="k", Body=b"third")
    refused("PreconditionFailed", replace, Key="k", Body=b"fourth")
    equal("k", get("k"), b"third")


def checksums():
    data = os.urandom(6 << 20)
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        field = "Checksum" + algorithm
        answer = put(algorithm, data, ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket=BUCKET, Key=algorithm, ChecksumMode="ENABLED")
        equal(algorithm, head[field], answer[field])
        equal(algorithm, get(algorithm, ChecksumMode="ENABLED"), data)
        up = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", ChecksumAlgorithm=algorithm)
        at = {"Bucket": BUCKET, "Key": "parts", "UploadId": up["UploadId"]}
        parts = []
        for number, body in enumerate((data, b"end"), 1):
            part = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm=algorithm, **at)
            parts.append({"PartNumber": number, "ETag": part["ETag"], field: part[field]})
        done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **at)
        equal("checksum of two parts ends with", done[field][-2:], "-2")
        equal(algorithm, get("parts"), data + b"end")
    put("md5", data, ContentMD5=base64.b64encode(hashlib.md5(data).digest()).decode())
    refused("BadDigest", s3.put_object, Key="bad", Body=data, ContentMD5=base64.b64encode(b"0" * 16).decode())
    refused("BadDigest", s3.put_object, Key="bad", Body=data, ChecksumSHA256=base64.b64encode(b"0" * 32).decode())
    refused("404", s3.head_object, Key="bad")


def listing():
    def count(name, field, **more):
        pages = s3.get_paginator(name).paginate(Bucket=BUCKET, **more)
        return sum(len(page.get(field, [])) for page in pages)

    equal("V2", count("list_objects_v2", "Contents"), 1103)
    equal("V1", count("list_objects", "Contents"), 1103)
    equal("versions", count("list_object_versions", "Versions"), 1103)
    equal("pages of 7", count("list_objects_v2", "Contents", PaginationConfig={"PageSize": 7}, Prefix="many/00"), 100)
    before5 = {f"{i:04d}".split("5")[0] for i in range(1100) if "5" in f"{i:04d}"}
    for name in ("list_objects_v2", "list_objects"):
        equal(name, count(name, "CommonPrefixes", Delimiter="/"), 1)
        equal(name, count(name, "Contents", Delimiter="/"), 3)
        equal(name, count(name, "CommonPrefixes", Prefix="many/", Delimiter="5", PaginationConfig={"PageSize": 3}), len(before5))


def delete():
    keys = [{"Key": f"k{i:04d}"} for i in [*range(19), *range(100, 1081)]]
    equal("keys in one request", len(keys), 1000)
    out = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys, "Quiet": True})
    equal("quiet", (out.get("Deleted"), out.get("Errors")), (None, None))


def presigned():
    def url(method, **more):
        return s3.generate_presigned_url(method, Params={"Bucket": BUCKET, "Key": "dir/ä b+%?", **more}, ExpiresIn=60)

    print(json.dumps({"Get": url("get_object", ResponseContentType="text/x-override"), "Put": url("put_object"), "Head": url("head_object")}))


def multipart():
    at = {"Bucket": BUCKET, "Key": "dir/k+ä"}
    data = os.urandom(5 << 20)
    at["UploadId"] = s3.create_multipart_upload(**at)["UploadId"]
    for number in (1, 2, 3):
        s3.upload_part(PartNumber=number, Body=data if number < 3 else b"end", **at)
    parts = s3.list_parts(MaxParts=2, **at)
    equal("truncated", parts["IsTruncated"], True)
    more = s3.list_parts(PartNumberMarker=parts["NextPartNumberMarker"], **at)
    chosen = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts["Parts"] + more["Parts"]]
    equal("uploads", [u["Key"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]], ["dir/k+ä"])
    s3.complete_multipart_upload(MultipartUpload={"Parts": chosen}, **at)
    equal("object", hashlib.sha256(get("dir/k+ä")).digest(), hashlib.sha256(data + data + b"end").digest())
    other = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=other)
    refused("NoSuchUpload", s3.list_parts, Key="k", UploadId=other)
    equal("uploads left", s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads"), None)


def errors():
    refused("NoSuchKey", s3.get_object, Key="absent")
    refused("404", s3.head_object, Key="absent")
    refused("BucketAlreadyOwnedByYou", s3.create_bucket)
    try:
        s3.list_objects_v2(Bucket=BUCKET + "-absent")
        raise AssertionError("an absent bucket was listed")
    except s3.exceptions.NoSuchBucket:
        pass
    equal("own bucket is listed", BUCKET in [b["Name"] for b in s3.list_buckets()["Buckets"]], True)
    put("k", b"")
    s3.get_waiter("object_exists").wait(Bucket=BUCKET, Key="k")
    refused("BucketNotEmpty", s3.delete_bucket)
    s3.delete_object(Bucket=BUCKET, Key="k")
    s3.delete_bucket(Bucket=BUCKET)
    s3.get_waiter("bucket_not_exists").wait(Bucket=BUCKET)
    s3.create_bucket(Bucket=BUCKET)
    s3.get_waiter("bucket_exists").wait(Bucket=BUCKET)
    region = s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"]
    equal("location", region in (None, s3.meta.region_name), True)


def virtual_host():
    s3 = client("virtual")
    s3.put_object(Bucket=BUCKET, Key="dir/ä b+%", Body=b"virtual")
    equal("get", s3.get_object(Bucket=BUCKET, Key="dir/ä b+%")["Body"].read(), b"virtual")
    equal("list", [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]], ["dir/ä b+%"])
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"})
    equal("bucket in the host of " + url, "://" + BUCKET + "." in url, True)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
