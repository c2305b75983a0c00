package dev.performer.data;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.performer.PerformerException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;

/**
 * The native library of tokenizers: it comes with the program, is unpacked into a folder of the
 * user's own below the temporary folder, and asks nothing of the network.
 */
final class TokenizerLibrary {
  private static boolean isPrepared;

  private TokenizerLibrary() {}

  /** A tokenizer that neither pads nor crops. Memory outside Java's heap is freed with it. */
  static HuggingFaceTokenizer load(String json, String source) {
    prepare();
    Map<String, String> options =
        Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");
    try {
      return HuggingFaceTokenizer.newInstance(
          new ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8)), options);
    } catch (IOException | RuntimeException e) {
      throw new PerformerException(
          source + ": is no tokenizer that can be used: " + firstLine(e.getMessage()), e);
    } catch (LinkageError e) {
      throw new PerformerException(
          "tokenizer.json needs a native library that cannot be loaded here ("
              + firstLine(e.getMessage())
              + "); on this platform use single letters or bytes",
          e);
    }
  }

  static String firstLine(String message) {
    return message == null ? "no reason given" : message.lines().findFirst().orElse("").strip();
  }

  private static synchronized void prepare() {
    if (isPrepared) {
      return;
    }
    set("ai.djl.offline", "true");
    set("OPT_OUT_TRACKING", "true");
    set("RUST_FLAVOR", "cpu");
    if (System.getenv("DJL_CACHE_DIR") == null && System.getenv("ENGINE_CACHE_DIR") == null) {
      String folder = folder().toString();
      set("DJL_CACHE_DIR", folder);
      set("ENGINE_CACHE_DIR", folder);
    }
    isPrepared = true;
  }

  private static void set(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  /** One per user, so that it is unpacked once; nobody else may have put a library there. */
  private static Path folder() {
    Path parent = Path.of(System.getProperty("java.io.tmpdir"));
    String user = System.getProperty("user.name", "user").replaceAll("\\W", "_");
    try {
      boolean isPosix = parent.getFileSystem().supportedFileAttributeViews().contains("posix");
      if (!isPosix) {
        return Files.createTempDirectory(parent, "performer-");
      }
      var mine = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
      Path folder = parent.resolve("performer-" + user);
      try {
        return Files.createDirectory(folder, mine);
      } catch (FileAlreadyExistsException e) {
        return isMine(folder) ? folder : Files.createTempDirectory(parent, "performer-", mine);
      }
    } catch (IOException e) {
      throw new PerformerException(
          parent + ": cannot be written, and tokenizers need it: " + e.getMessage(), e);
    }
  }

  private static boolean isMine(Path folder) throws IOException {
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS) || !Files.isWritable(folder)) {
      return false;
    }
    boolean isPrivate =
        Files.getPosixFilePermissions(folder).equals(PosixFilePermissions.fromString("rwx------"));
    Path probe = Files.createTempFile(folder, "owner", "");
    try {
      return isPrivate && Files.getOwner(folder).equals(Files.getOwner(probe));
    } finally {
      Files.delete(probe);
    }
  }
}
