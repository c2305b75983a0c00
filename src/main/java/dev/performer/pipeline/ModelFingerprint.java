package dev.performer.pipeline;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/** What no other model has: the SHA-256 of a SavedModel's graph and of its variables' checksums. */
final class ModelFingerprint {
  private static final List<String> FILES =
      List.of("saved_model.pb", "saved_model.pbtxt", "variables/variables.index");

  private ModelFingerprint() {}

  static String of(Path model) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (String name : FILES) {
        Path file = model.resolve(name);
        if (Files.exists(file)) {
          try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
            in.transferTo(OutputStream.nullOutputStream());
          }
        }
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw new PerformerException(model + ": cannot be read: " + AtomicFiles.describe(e), e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java has it
    }
  }
}
