package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.WildcardType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * What programs may build on: the public types of some packages, and every type of ours that their
 * signatures mention. The file is renewed with {@code mvn test -Dtest=PublicApiTest
 * -Dpublic-api.renew=true}; the difference belongs into the change log.
 */
class PublicApiTest {
  private static final Path FILE = Path.of("src/test/resources/public-api.txt");
  private static final Path CLASSES = Path.of("target/classes");
  private static final Path SOURCES = Path.of("src/main/java");
  private static final List<String> PACKAGES =
      List.of(
          "dev.performer.pipeline",
          "dev.performer.attention",
          "dev.performer.attention.projection",
          "dev.performer.attention.modelgarden",
          "dev.performer.serving",
          "dev.performer.server");
  private static final String OURS = "dev.performer.";

  @Test
  void thePublicApiIsTheOneInTheFile() throws Exception {
    Map<String, Set<String>> api = new TreeMap<>();
    Deque<Class<?>> open = new ArrayDeque<>(typesOf(PACKAGES));
    open.add(PerformerException.class);
    while (!open.isEmpty()) {
      Class<?> type = open.pop();
      if (!api.containsKey(type.getName())) {
        Set<Class<?>> mentioned = new TreeSet<>((a, b) -> a.getName().compareTo(b.getName()));
        api.put(type.getName(), members(type, mentioned));
        open.addAll(mentioned);
      }
    }
    List<String> lines = new ArrayList<>();
    api.forEach(
        (name, members) -> {
          lines.add(name);
          members.forEach(member -> lines.add("  " + member));
        });
    if (Boolean.getBoolean("public-api.renew")) {
      Files.write(FILE, lines);
    }
    assertThat(lines).isEqualTo(Files.readAllLines(FILE));
  }

  @Test
  void everyPackageTellsWhetherItIsForOthers() throws IOException {
    try (Stream<Path> files = Files.walk(SOURCES.resolve("dev"))) {
      List<Path> descriptions =
          files.filter(file -> file.endsWith("package-info.java")).sorted().toList();
      assertThat(descriptions).isNotEmpty();
      for (Path file : descriptions) {
        String name =
            SOURCES.relativize(file.getParent()).toString().replace('/', '.').replace('\\', '.');
        String text = Files.readString(file).replaceAll("\\s*\\*?\\s+", " ");
        assertThat(text)
            .as(file.toString())
            .contains(
                PACKAGES.contains(name) || name.equals("dev.performer")
                    ? "Public API"
                    : "Internal: may change");
      }
    }
  }

  private static List<Class<?>> typesOf(List<String> packages) throws Exception {
    List<Class<?>> types = new ArrayList<>();
    for (String name : packages) {
      try (Stream<Path> files = Files.list(CLASSES.resolve(name.replace('.', '/')))) {
        for (Path file : files.filter(f -> f.toString().endsWith(".class")).toList()) {
          String simple = file.getFileName().toString().replace(".class", "");
          Class<?> type = Class.forName(name + "." + simple, false, loader());
          if (isOpen(type)) {
            types.add(type);
          }
        }
      }
    }
    return types;
  }

  private static ClassLoader loader() {
    return PublicApiTest.class.getClassLoader();
  }

  /** Public, as are the types around it. */
  private static boolean isOpen(Class<?> type) {
    return isOpen(type.getModifiers())
        && !type.isAnonymousClass()
        && !type.isLocalClass()
        && (type.getDeclaringClass() == null || isOpen(type.getDeclaringClass()));
  }

  private static boolean isOpen(int modifiers) {
    return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
  }

  private static Set<String> members(Class<?> type, Set<Class<?>> mentioned) {
    Set<String> members = new TreeSet<>();
    add(type.getGenericSuperclass(), mentioned);
    Arrays.stream(type.getGenericInterfaces()).forEach(t -> add(t, mentioned));
    for (Field field : type.getDeclaredFields()) {
      if (isListed(field)) {
        members.add(text(field.getGenericType(), mentioned) + " " + field.getName());
      }
    }
    Stream<Executable> calls =
        Stream.concat(
            Arrays.stream(type.getDeclaredConstructors()),
            Arrays.stream(type.getDeclaredMethods()));
    calls
        .filter(PublicApiTest::isListed)
        .forEach(
            call -> {
              String parameters =
                  Arrays.stream(call.getGenericParameterTypes())
                      .map(t -> text(t, mentioned))
                      .collect(Collectors.joining(", ", "(", ")"));
              members.add(
                  call instanceof Method method
                      ? text(method.getGenericReturnType(), mentioned)
                          + " "
                          + method.getName()
                          + parameters
                      : "new" + parameters);
            });
    return members;
  }

  private static <M extends Member & AnnotatedElement> boolean isListed(M member) {
    boolean isOfObject =
        member instanceof Method m
            && (m.getName().equals("equals") && m.getParameterCount() == 1
                || m.getName().equals("hashCode") && m.getParameterCount() == 0
                || m.getName().equals("toString") && m.getParameterCount() == 0);
    return isOpen(member.getModifiers()) && !member.isSynthetic() && !isOfObject;
  }

  private static String text(Type type, Set<Class<?>> mentioned) {
    add(type, mentioned);
    return type.getTypeName().replaceAll("\\b(java|org|com)\\.[a-z.]*\\.(?=[A-Z])", "");
  }

  private static void add(Type type, Set<Class<?>> mentioned) {
    if (type instanceof Class<?> c) {
      Class<?> element = c;
      while (element.isArray()) {
        element = element.getComponentType();
      }
      if (element.getName().startsWith(OURS) && isOpen(element)) {
        mentioned.add(element);
      }
    } else if (type instanceof ParameterizedType p) {
      add(p.getRawType(), mentioned);
      Arrays.stream(p.getActualTypeArguments()).forEach(t -> add(t, mentioned));
    } else if (type instanceof GenericArrayType a) {
      add(a.getGenericComponentType(), mentioned);
    } else if (type instanceof WildcardType w) {
      Arrays.stream(w.getUpperBounds()).forEach(t -> add(t, mentioned));
    }
  }
}
