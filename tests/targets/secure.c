/* secure: linked with the agent, to be run with the user bit set. Says whether the system runs it in secure mode. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

int main(void)
{
	for (int i = 0; i < 1000; i++)
		if (malloc(5000) == NULL)
			return 1;
	printf("secure %lu\n", getauxval(AT_SECURE));
	return 0;
}
