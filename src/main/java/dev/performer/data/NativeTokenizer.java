package dev.performer.data;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Set;

/**
 * A tokenizer outside Java's heap; freed when nothing refers to it any more. The native library
 * comes with the program, asks nothing of the network, and is unpacked into the user's own folder.
 */
final class NativeTokenizer {
  private static final Cleaner CLEANER = Cleaner.create();
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");

  private static boolean isLoaded;

  private final String source;
  private final long address;

  /** Of the text of a tokenizer.json. */
  NativeTokenizer(String json, String source) {
    requireLoaded();
    this.source = source;
    try {
      long created = TokenizersLibrary.LIB.createTokenizerFromString(json);
      CLEANER.register(this, () -> TokenizersLibrary.LIB.deleteTokenizer(created));
      address = created;
    } catch (RuntimeException e) {
      throw failure("is no tokenizer that can be used", e);
    }
  }

  /** Ids of a text; special tokens around it are none of its affair. */
  int[] encode(String text) {
    long encoding = 0;
    try {
      encoding = TokenizersLibrary.LIB.encode(address, text, false);
      long[] ids = TokenizersLibrary.LIB.getTokenIds(encoding);
      return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
    } catch (RuntimeException e) {
      throw failure("cannot tokenize a text", e);
    } finally {
      if (encoding != 0) {
        TokenizersLibrary.LIB.deleteEncoding(encoding);
      }
      Reference.reachabilityFence(this);
    }
  }

  /** The text of ids, special tokens left out. */
  String decode(long[] ids) {
    try {
      return TokenizersLibrary.LIB.decode(address, ids, true);
    } catch (RuntimeException e) {
      throw failure("cannot turn ids into text", e);
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  private PerformerException failure(String what, RuntimeException e) {
    return new PerformerException(source + ": " + what + ": " + firstLine(e.getMessage()), e);
  }

  private static String firstLine(String message) {
    return message == null ? "no reason given" : Excerpt.of(message.lines().findFirst().orElse(""));
  }

  private static synchronized void requireLoaded() {
    if (isLoaded) {
      return;
    }
    var settings = System.getProperties();
    settings.putIfAbsent("ai.djl.offline", "true");
    settings.putIfAbsent("OPT_OUT_TRACKING", "true");
    settings.putIfAbsent("RUST_FLAVOR", "cpu");
    if (System.getenv("DJL_CACHE_DIR") == null && System.getenv("ENGINE_CACHE_DIR") == null) {
      String folder = folder().toString();
      for (String key : new String[] {"DJL_CACHE_DIR", "ENGINE_CACHE_DIR", "jna.tmpdir"}) {
        settings.putIfAbsent(key, folder);
      }
    }
    try {
      LibUtils.checkStatus();
    } catch (RuntimeException | LinkageError e) {
      String lacking =
          "a tokenizer.json needs a native library that cannot be loaded here (%s); models of single letters or bytes need none";
      throw new PerformerException(lacking.formatted(firstLine(e.getMessage())), e);
    }
    isLoaded = true;
  }

  /** One per user, so that it is unpacked once; nobody else may have put a library there. */
  private static Path folder() {
    Path parent = Path.of(System.getProperty("java.io.tmpdir"));
    String user = System.getProperty("user.name", "user").replaceAll("\\W", "_");
    try {
      if (!parent.getFileSystem().supportedFileAttributeViews().contains("posix")) {
        return Files.createTempDirectory(parent, "performer-");
      }
      var mine = PosixFilePermissions.asFileAttribute(PRIVATE);
      Path folder = parent.resolve("performer-" + user);
      try {
        return Files.createDirectory(folder, mine);
      } catch (FileAlreadyExistsException e) {
        return isMine(folder) ? folder : Files.createTempDirectory(parent, "performer-", mine);
      }
    } catch (IOException e) {
      String needed = "%s: cannot be written, and a tokenizer.json needs it: %s";
      throw new PerformerException(needed.formatted(parent, AtomicFiles.describe(e)), e);
    }
  }

  private static boolean isMine(Path folder) throws IOException {
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS) || !Files.isWritable(folder)) {
      return false;
    }
    Path probe = Files.createTempFile(folder, "owner", "");
    try {
      return Files.getPosixFilePermissions(folder).equals(PRIVATE)
          && Files.getOwner(folder).equals(Files.getOwner(probe));
    } finally {
      Files.delete(probe);
    }
  }
}
