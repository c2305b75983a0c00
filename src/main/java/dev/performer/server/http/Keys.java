package dev.performer.server.http;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Locale;

/** Keys of which a call must present one, where there are any. */
public final class Keys {
  private static final String BEARER = "bearer ";

  private final List<byte[]> digests;

  /** Some keys; none where everybody may call. */
  public Keys(List<String> keys) {
    digests = keys.stream().map(Keys::digest).toList();
  }

  /** Whether everybody may call. */
  public boolean isEmpty() {
    return digests.isEmpty();
  }

  /** Whether what stands in a header is {@code Bearer} and one of the keys. */
  public boolean admit(String authorization) {
    if (authorization == null || !authorization.toLowerCase(Locale.ROOT).startsWith(BEARER)) {
      return isEmpty();
    }
    byte[] given = digest(authorization.substring(BEARER.length()).strip());
    boolean found = isEmpty();
    for (byte[] key : digests) {
      found |= MessageDigest.isEqual(key, given); // all of them, in the same time
    }
    return found;
  }

  /** Of one length, whatever the key's. */
  private static byte[] digest(String key) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
