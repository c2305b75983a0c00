package dev.performer.training.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AvailableMemoryTest {
  private static final long MEBI = 1L << 20;

  @TempDir private Path root;

  @BeforeEach
  void machine() throws IOException {
    write("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    8192 kB\n");
  }

  @Test
  void whatTheMachineHasWithoutLimits() throws IOException {
    assertEquals(OptionalLong.of(8 * MEBI), available());
    write("proc/self/cgroup", "0::/user.slice\n");
    write("sys/fs/cgroup/user.slice/memory.max", "max\n");
    write("sys/fs/cgroup/user.slice/memory.current", "4096\n");
    assertEquals(OptionalLong.of(8 * MEBI), available());
  }

  @Test
  void theRestOfTheLimitWithWhatIsCached() throws IOException {
    write("proc/self/cgroup", "0::/\n");
    group("sys/fs/cgroup", 5 * MEBI, 4 * MEBI);
    assertEquals(OptionalLong.of(MEBI), available());
    write("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file " + 2 * MEBI + "\nfile 3\n");
    assertEquals(OptionalLong.of(3 * MEBI), available());
  }

  @Test
  void theLeastOfTheGroupsAround() throws IOException {
    write("proc/self/cgroup", "0::/a/b\n");
    group("sys/fs/cgroup/a", 3 * MEBI, 2 * MEBI);
    group("sys/fs/cgroup/a/b", 6 * MEBI, MEBI);
    assertEquals(OptionalLong.of(MEBI), available());
  }

  @Test
  void versionOne() throws IOException {
    write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/y\n");
    // The path is the host's: in the container its own group stands at the mount.
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", 6 * MEBI + "\n");
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", 5 * MEBI + "\n");
    write("sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 100\n");
    assertEquals(OptionalLong.of(MEBI + 100), available());
  }

  @Test
  void unlimitedVersionOneAndOverdrawnGroups() throws IOException {
    write("proc/self/cgroup", "4:memory:/\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
    assertEquals(OptionalLong.of(8 * MEBI), available());
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "4\n");
    assertEquals(OptionalLong.of(0), available());
  }

  @Test
  void otherSystemsSayNothing() throws IOException {
    Files.delete(root.resolve("proc/meminfo"));
    assertEquals(OptionalLong.empty(), available());
  }

  @Test
  void thisMachine() {
    OptionalLong bytes = AvailableMemory.bytes();
    assertTrue(bytes.isEmpty() || bytes.getAsLong() > MEBI, bytes.toString());
  }

  private OptionalLong available() {
    return new AvailableMemory(root).least();
  }

  private void group(String folder, long limit, long usage) throws IOException {
    write(folder + "/memory.max", limit + "\n");
    write(folder + "/memory.current", usage + "\n");
  }

  private void write(String file, String text) throws IOException {
    Path path = root.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
  }
}
